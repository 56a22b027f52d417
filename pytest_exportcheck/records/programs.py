"""Programs as frozen data that can be compared: graphs, signature, constraints and the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias

from pytest_exportcheck.records.observations import Leaf, Raised


@dataclass(frozen=True)
class Size:
    """A number that depends on symbols. ``text`` names them by where a call fixes them (``args[0].size(0)``) or, for
    unbacked ones, in order of appearance (``u0``), so that two programs agree on it whatever the names of their symbols
    are. ``expr`` is the sympy expression over symbols of these names.
    """

    text: str
    expr: Any = field(compare=False, repr=False)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Plain:
    """A value that is not a str, int or bool: its type, and its text. nan equals nan, 0.0 is not -0.0."""

    type: str
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class TensorValue:
    """The facts of a tensor at run time, or those that metadata predicts. ``stride`` is None for layouts without."""

    shape: tuple[int | Size, ...]
    dtype: str
    device: str
    layout: str
    stride: tuple[int | Size, ...] | None
    storage_offset: int | Size = 0


@dataclass(frozen=True)
class NodeRef:
    """An argument that is the value of another node of the same graph."""

    name: str

    def __str__(self) -> str:
        return f"%{self.name}"


@dataclass(frozen=True)
class GraphRef:
    """An argument that is a subgraph; ``path`` leads to it in ``ProgramRecord.graphs``."""

    path: str

    def __str__(self) -> str:
        return f"graph {self.path}"


OperatorFact: TypeAlias = Literal[
    "random",  # draws random numbers
    "mutates",  # writes to an argument
    "view",  # returns a tensor that shares storage with an argument
    "assertion",  # fails if a number is not as it must be, and returns nothing
    "bounds",  # an assertion whose further arguments are the bounds of its number
    "size_query",  # reads a size, stride or offset of a tensor, never its data
    "shape_query",
    "stride_query",
    "fetch",  # takes one result of an operation, or the number in a tensor
    "getitem",  # the fetch of one result of an operation
    "subclass_part",  # fetches a tensor that a subclass wraps
    "bookkeeping",  # inserted by a capture: the model does not ask for it
    "copy",  # copies one tensor to another, as a program does that writes a mutation back
    "attention",
    "fused_attention",  # attention, or a layer around it, in one kernel
    "settles_strides",  # its results have the same strides whatever those of its arguments are
    "settles_strides_by_format",  # the same, if a memory format is named
    "interpreter_level",  # begins or ends a torch.func transform
]
"""What a check may have to know of the operator that a node calls."""


@dataclass(frozen=True, eq=False, kw_only=True)
class NodeRecord:
    """A node. ``args`` and ``kwargs`` hold plain data, :class:`NodeRef`, :class:`GraphRef` and :class:`Size`, lists as
    tuples; ``meta`` is the metadata without ``val``; ``origin`` the node of the program before that ``from_node``
    names; ``defaults`` are the defaults of the process that the call uses: ``dtype`` or ``device``; ``facts`` are those
    about the operator that a ``call_function`` calls.
    """

    name: str
    op: str
    target: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    val: Any = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    origin: str = ""
    defaults: tuple[str, ...] = ()
    facts: frozenset[OperatorFact] = frozenset()


@dataclass(frozen=True, eq=False)
class GraphRecord:
    """The nodes of a graph, in order, without those that only fetch a subgraph. ``path`` is empty for the outermost, as
    is ``regions``: the targets of the higher-order operators that the graph is part of, outermost first.
    """

    path: str
    nodes: tuple[NodeRecord, ...]
    regions: tuple[str, ...] = ()

    def place(self, node: NodeRecord) -> str:
        """Return the place of a node: its name after the path of the graph."""
        return f"{self.path}.{node.name}" if self.path else node.name


@dataclass(frozen=True)
class SpecRecord:
    """An input or output of the graph signature. ``value`` is the constant of a constant argument, as text."""

    kind: str
    name: str
    target: str | None
    persistent: bool | None = None
    value: str = ""


@dataclass(frozen=True)
class SignatureRecord:
    """The graph signature, in order."""

    inputs: tuple[SpecRecord, ...]
    outputs: tuple[SpecRecord, ...]


@dataclass(frozen=True)
class Interval:
    """The integers from ``lower`` to ``upper``, both included; None is unbounded."""

    lower: int | None
    upper: int | None

    def __str__(self) -> str:
        return f"{'-oo' if self.lower is None else self.lower}..{'oo' if self.upper is None else self.upper}"

    def holds(self, other: Interval) -> bool:
        """Return whether every integer of the other interval is in this one."""
        below = self.lower is None or (other.lower is not None and self.lower <= other.lower)
        return below and (self.upper is None or (other.upper is not None and other.upper <= self.upper))


#: ``dim`` of a declared number: it has no dims.
NUMBER = -1


@dataclass(frozen=True, kw_only=True)
class DeclaredDim:
    """The declaration of one dim of one input in a case's ``dynamic_shapes``. ``interval`` is None where it gives no
    bounds.

    ``root`` names the dim whose size determines this one, by ``derive``, within ``root_interval``; a hint such as
    ``Dim.DYNAMIC`` has no root, and neither has a size that several variables of a specification determine.
    ``expression`` is the size in the variables of a specification, and ``conditions`` are its assumptions about them;
    both are in sympy, whose symbols have the names of roots.
    """

    place: str
    dim: int
    text: str
    dynamic: bool
    interval: Interval | None = None
    root: str = ""
    root_interval: Interval | None = None
    derive: Callable[[int], int] | None = None
    expression: Any = None
    conditions: tuple[Any, ...] = ()

    def size_for(self, root: int) -> int:
        """Return the size of this dim where its root has this one."""
        return self.derive(root) if self.derive else root

    def root_for(self, size: int) -> int | None:
        """Return the size of the root that gives this dim the size, or None if no root gives it."""
        return linear_root(self.size_for, size)


def linear_root(size_for: Callable[[int], int], size: int) -> int | None:
    """Solve ``factor * root + offset = size`` for a root that is a size, or return None if no root gives the size.

    ``Dim`` allows no other expressions than these. If the function is not linear, a root may be missed but is never
    wrong.
    """
    offset = size_for(0)
    factor = size_for(1) - offset
    if not factor or (size - offset) % factor:
        return None
    root = (size - offset) // factor
    return root if root >= 0 and size_for(root) == size else None


@dataclass(frozen=True, eq=False, kw_only=True)
class ConstraintsRecord:
    """Symbolic shapes of the user's inputs by place, ranges by the text of the expression, and guards as text.

    ``accepts`` says, for a few settings of the inputs' sizes, whether the guards accept them; ``unused`` names the
    symbols that have a range and that no shape, stride, number or argument of a node depends on.
    """

    shapes: Mapping[str, tuple[int | Size, ...]]
    ranges: Mapping[str, Interval]
    guards: tuple[str, ...]
    accepts: Mapping[str, bool] = field(default_factory=dict)
    unused: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False, kw_only=True)
class Stopped:
    """The place where a run node by node ended early, and the error."""

    place: str
    error: Raised


@dataclass(frozen=True, eq=False, kw_only=True)
class NodeRun:
    """The values that nodes yielded in one run of a program, by place, and the values of symbols there, by name."""

    label: str
    values: Mapping[str, Any]
    sizes: Mapping[str, int]
    stopped: Stopped | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class ProgramRecord:
    """An exported program as data.

    ``runs`` are runs node by node; ``state_names`` the keys of its state_dict in order, of which ``tied_names`` share a
    storage; ``example_structure`` the pytree of the example inputs; ``refused_by`` is None where the program's own
    verifiers accept it, else the class of the verifier that refuses it, and its message.
    """

    graphs: Mapping[str, GraphRecord]
    signature: SignatureRecord
    constraints: ConstraintsRecord
    constants: Mapping[str, Any]
    state_names: tuple[str, ...] = ()
    tied_names: frozenset[str] = frozenset()
    examples: tuple[Leaf, ...] | None
    example_structure: Any = None
    module_calls: Mapping[str, str]
    graph_meta: Mapping[str, Any]
    dialect: str
    verifiers: tuple[str, ...]
    refused_by: Raised | None = None
    runs: tuple[NodeRun, ...] = ()

    @cached_property
    def operators(self) -> frozenset[str]:
        """Return the names of the operators that the nodes call, in subgraphs as well."""
        nodes = (node for graph in self.graphs.values() for node in graph.nodes)
        return frozenset(node.target for node in nodes if node.op == "call_function")


@dataclass(frozen=True, eq=False)
class GraphPair:
    """A graph before and after, and its nodes in pairs."""

    before: GraphRecord
    after: GraphRecord
    nodes: tuple[tuple[NodeRecord, NodeRecord], ...]
    dropped: tuple[NodeRecord, ...] = ()
    added: tuple[NodeRecord, ...] = ()


@dataclass(frozen=True, eq=False)
class Alignment:
    """All graphs of two programs in pairs; graphs that have no partner by path."""

    graphs: tuple[GraphPair, ...] = ()
    dropped: tuple[str, ...] = ()
    added: tuple[str, ...] = ()

    def pairs(self) -> Iterator[tuple[GraphPair, NodeRecord, NodeRecord]]:
        """Yield each pair of nodes, with the pair of their graphs."""
        for graph in self.graphs:
            for before, after in graph.nodes:
                yield graph, before, after
