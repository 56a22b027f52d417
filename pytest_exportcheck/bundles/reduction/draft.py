"""A program that is being cut: a copy of its graph, whose placeholders and results can be removed, added and renamed.

A step of the reduction takes a :class:`Draft` of a :class:`Candidate`, edits the graph, and asks for the new candidate:
a valid ``ExportedProgram`` whose signature, call spec and state follow from the graph that is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.export import ExportedProgram, ModuleCallEntry, ModuleCallSignature
from torch.export.graph_signature import (
    ConstantArgument,
    ExportGraphSignature,
    InputKind,
    InputSpec,
    OutputKind,
    OutputSpec,
    SymBoolArgument,
    SymFloatArgument,
    SymIntArgument,
    TensorArgument,
)
from torch.fx import Graph, GraphModule, Node

from pytest_exportcheck.describe.graph_inputs import flat_inputs, state_value
from pytest_exportcheck.describe.operators import operator_facts
from pytest_exportcheck.harness._torch import pytree
from pytest_exportcheck.records import Inputs

_SYMBOLIC = {torch.SymInt: SymIntArgument, torch.SymFloat: SymFloatArgument, torch.SymBool: SymBoolArgument}


@dataclass(frozen=True, eq=False)
class Candidate:
    """A program, and the calls that show the finding, one after the other."""

    program: ExportedProgram
    calls: tuple[Inputs, ...]


class Unsuitable(Exception):
    """An edit that a program does not allow."""


@dataclass(frozen=True, eq=False)
class Slot:
    """The origin of the value of a placeholder: the input spec, with the state's value or those of the calls."""

    spec: InputSpec
    values: tuple[Any, ...]

    @property
    def is_users(self) -> bool:
        """Return True for an argument of the user."""
        return self.spec.kind is InputKind.USER_INPUT


class Draft:
    """A copy of the graph of a candidate. ``slots`` has the origin of each placeholder by its name, ``kinds`` the
    output spec of each value that the graph returns.

    The arguments and outputs of the program become flat as soon as ``flat`` is set, else they keep their structure and their
    number.
    """

    def __init__(self, candidate: Candidate) -> None:
        program = candidate.program
        self.calls = candidate.calls
        self.flat = is_flat(program)
        self.copies: dict[Node, Node] = {}
        self.module = _copied(program.graph_module, self.copies)
        leaves = [flat_inputs(program, call.args, call.kwargs) for call in candidate.calls]
        users = iter(zip(*leaves, strict=True))
        self.slots: dict[str, Slot] = {}
        for node, spec in zip(
            self.graph.find_nodes(op="placeholder"), program.graph_signature.input_specs, strict=True
        ):
            is_users = spec.kind is InputKind.USER_INPUT
            self.slots[node.name] = Slot(spec, next(users) if is_users else (state_value(program, spec),))
        #: Placeholders that nothing used before the edits either: a stage may write to them.
        self.unused = {node.name for node in self.graph.find_nodes(op="placeholder") if not node.users}
        self.kinds: list[OutputSpec] = list(program.graph_signature.output_specs)
        self._program = program

    @property
    def graph(self) -> Graph:
        """Return the graph that is edited."""
        return self.module.graph

    @property
    def nodes(self) -> dict[str, Node]:
        """Return the nodes by name."""
        return {node.name: node for node in self.graph.nodes}

    @property
    def returned(self) -> tuple[Any, ...]:
        """Return the values that the graph returns: nodes and constants."""
        return tuple(self.graph.output_node().args[0])  # type: ignore[arg-type]

    def returns(self, values: Sequence[Any], kinds: Sequence[OutputSpec]) -> None:
        """Set the values that the graph returns."""
        self.graph.output_node().args = (tuple(values),)
        self.kinds = list(kinds)

    def new_input(self, node: Node, values: Sequence[Any]) -> Node:
        """Return a new placeholder that is given what a node yielded in each call."""
        first = next(iter(self.graph.nodes))
        last = self.graph.find_nodes(op="placeholder")
        with self.graph.inserting_after(last[-1]) if last else self.graph.inserting_before(first):
            made = self.graph.placeholder(f"{node.name}_value")
        made.meta["val"] = _val_of(node, values[0])
        self.slots[made.name] = Slot(InputSpec(InputKind.USER_INPUT, TensorArgument(made.name), None), tuple(values))
        return made

    def keep_call(self, number: int, state: Mapping[str, torch.Tensor]) -> None:
        """Keep one of the calls, which begins with this state."""
        self.calls = (self.calls[number],)
        for name, slot in self.slots.items():
            if slot.is_users:
                self.slots[name] = Slot(slot.spec, (slot.values[number],))
            elif slot.spec.target is not None and slot.spec.target in state:
                self.slots[name] = Slot(slot.spec, (_like(state[slot.spec.target], slot.values[0]),))

    def finished(self) -> Candidate:
        """Return the candidate: what the results do not need is dropped.

        Raises
        ------
        Unsuitable
            If inputs or outputs changed but must keep their structure.
        """
        self._drop_dead()
        placeholders = self.graph.find_nodes(op="placeholder")
        slots = [self.slots[node.name] for node in placeholders]
        call = self._call_signature(slots)
        self.graph.lint()
        self.module.recompile()
        held = {slot.spec.target: slot.values[0] for slot in slots if slot.spec.target is not None}
        old = self._program
        calls = self._calls(slots) if self.flat else self.calls
        program = ExportedProgram(
            root=self.module,
            graph=self.graph,
            graph_signature=self._signature(placeholders, slots),
            state_dict={name: held[name] for name in [*old.state_dict, *held] if name in held and name in self._stored},
            range_constraints=_used_ranges(self.graph, old),
            module_call_graph=[ModuleCallEntry("", call), *(() if self.flat else old.module_call_graph[1:])],
            example_inputs=(calls[0].args, dict(calls[0].kwargs)),
            constants={name: value for name, value in held.items() if name not in self._stored},
            verifiers=list(old.verifiers),
        )
        return Candidate(program, calls)

    @property
    def _stored(self) -> set[str]:
        """Return the names of the state that a state dict has."""
        return {
            slot.spec.target
            for slot in self.slots.values()
            if slot.spec.target is not None
            and (slot.spec.kind is InputKind.PARAMETER or (slot.spec.kind is InputKind.BUFFER and slot.spec.persistent))
        }

    def _drop_dead(self) -> None:
        self.graph.eliminate_dead_code(_has_effects)
        written = {spec.target for spec in self.kinds if spec.target is not None}
        for node in self.graph.find_nodes(op="placeholder"):
            slot = self.slots[node.name]
            needed = bool(node.users) or node.name in self.unused or (slot.spec.target or node.name) in written
            if not needed and (self.flat or not slot.is_users):
                self.graph.erase_node(node)
                del self.slots[node.name]

    def _signature(self, placeholders: Sequence[Node], slots: Sequence[Slot]) -> ExportGraphSignature:
        inputs = [
            replace(slot.spec, arg=_argument_of(node, slot.spec.arg))
            for node, slot in zip(placeholders, slots, strict=True)
        ]
        outputs = [
            replace(kind, arg=_argument_of(value) if isinstance(value, Node) else ConstantArgument("", value))
            for value, kind in zip(self.returned, self.kinds, strict=True)
        ]
        return ExportGraphSignature(inputs, outputs)

    def _call_signature(self, slots: Sequence[Slot]) -> ModuleCallSignature:
        old: ModuleCallSignature | None = self._program.module_call_graph[0].signature
        users = [slot for slot in slots if slot.is_users]
        results = sum(kind.kind is OutputKind.USER_OUTPUT for kind in self.kinds)
        if not self.flat:
            if old is None or (len(users), results) != (old.in_spec.num_leaves, old.out_spec.num_leaves):
                raise Unsuitable("the finding needs the structure of the arguments and outputs")
            return old
        return ModuleCallSignature(
            inputs=[],
            outputs=[],
            in_spec=pytree.tree_structure((tuple(0 for _ in users), {})),
            out_spec=pytree.tree_structure(0 if results == 1 else tuple(0 for _ in range(results))),
            forward_arg_names=[node.name for node in self.graph.find_nodes(op="placeholder") if self._is_users(node)],
        )

    def _is_users(self, node: Node) -> bool:
        return self.slots[node.name].is_users

    def _calls(self, slots: Sequence[Slot]) -> tuple[Inputs, ...]:
        users = [slot.values for slot in slots if slot.is_users]
        return tuple(
            Inputs(call.label, tuple(values[number] for values in users), {}) for number, call in enumerate(self.calls)
        )


def _has_effects(node: Node) -> bool:
    """Return True for a node that does more than to yield a value: torch's own test includes dropout in eval mode."""
    if node.op != "call_function":
        return node.op in ("placeholder", "output")
    return bool(operator_facts(node.target, node.args, node.kwargs) & {"mutates", "random", "assertion"})


def calls_of(module: torch.nn.Module) -> Iterator[Node]:
    """Yield the calls of operators in a graph and in its subgraphs."""
    for owner in module.modules():
        if isinstance(owner, GraphModule):
            yield from (node for node in owner.graph.nodes if node.op == "call_function")


def _copied(module: GraphModule, copies: dict[Node, Node]) -> GraphModule:
    """Copy a graph and those of its subgraphs; values in the metadata are shared."""
    graph = Graph()
    for node in module.graph.nodes:
        copies[node] = graph.node_copy(node, lambda given: copies[given])
        if node.op != "placeholder" and copies[node].name != node.name:
            copies[node].name = node.name
    made = GraphModule(module, graph)
    for name, child in module.named_children():
        if isinstance(child, GraphModule) and hasattr(made, name):
            setattr(made, name, _copied(child, {}))
    return made


def is_flat(program: ExportedProgram) -> bool:
    """Return True if a program takes positional arguments without containers."""
    signature = program.module_call_graph[0].signature
    if signature is None:
        return False
    leaves = signature.in_spec.num_leaves
    return bool(signature.in_spec == pytree.tree_structure((tuple(0 for _ in range(leaves)), {})))


def _val_of(node: Node, value: Any) -> Any:
    """Return the metadata of a placeholder in place of a node: that of the node, but with the strides that it really has."""
    val = node.meta.get("val")
    if not isinstance(val, torch.Tensor) or not isinstance(value, torch.Tensor):
        return val
    strided = value.layout is torch.strided and val.layout is torch.strided and not value.is_nested
    if strided and not _is_symbolic(val) and tuple(val.stride()) != tuple(value.stride()):
        made = val.fake_mode.from_tensor(value)  # type: ignore[attr-defined]
    else:
        with torch.no_grad():
            made = val.detach()
    if value.requires_grad != made.requires_grad:
        made.requires_grad_(value.requires_grad)
    return made


def _like(value: torch.Tensor, old: Any) -> torch.Tensor:
    """Return a value of the state as a parameter where the old one is a parameter."""
    given = value.detach()
    return torch.nn.Parameter(given, requires_grad=old.requires_grad) if isinstance(old, torch.nn.Parameter) else given


def _is_symbolic(val: torch.Tensor) -> bool:
    return any(isinstance(size, torch.SymInt) for size in (*val.shape, *val.stride()))


def _argument_of(node: Node, old: Any = None) -> Any:
    val = node.meta.get("val")
    if isinstance(val, torch.Tensor):
        return TensorArgument(node.name)
    for kind, argument in _SYMBOLIC.items():
        if isinstance(val, kind):
            return argument(node.name)
    if old is not None and hasattr(old, "name"):
        return replace(old, name=node.name)
    return ConstantArgument(node.name, val)


def _used_ranges(graph: Graph, program: ExportedProgram) -> dict[Any, Any]:
    """Return the range constraints of the symbols that the graph still has."""
    used: set[Any] = set()
    for node in graph.nodes:
        for value in pytree.tree_leaves(node.meta.get("val")):
            sizes = (*value.shape, *value.stride()) if _has_sizes(value) else (value,)
            for size in sizes:
                if isinstance(size, (torch.SymInt, torch.SymFloat, torch.SymBool)):
                    used |= size.node.expr.free_symbols
    return {symbol: interval for symbol, interval in program.range_constraints.items() if symbol in used}


def _has_sizes(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.layout is torch.strided and not value.is_nested
