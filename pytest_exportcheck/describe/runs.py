"""Runs of a program node by node on its example inputs, and a record of what each node yielded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from pytest_exportcheck.describe.freeze import tensor_value
from pytest_exportcheck.describe.graph_inputs import flat_inputs, graph_inputs, state_value
from pytest_exportcheck.describe.places import keyword_order
from pytest_exportcheck.describe.resize import at_other_sizes
from pytest_exportcheck.describe.symbols import Symbols
from pytest_exportcheck.errors import InputsRefused
from pytest_exportcheck.harness.fingerprint import checksum_of, digest_of, facts_text, node_text, nodes_of
from pytest_exportcheck.harness.isolation import raised_from
from pytest_exportcheck.harness.tensors import input_leaves
from pytest_exportcheck.records import DeclaredDim, Inputs, NodeRun, Stopped


def node_runs(
    program: torch.export.ExportedProgram, example: Inputs, declared: Sequence[DeclaredDim]
) -> tuple[NodeRun, ...]:
    """Return a run on the example inputs, and where dims are dynamic another at other sizes, which reveals a number in
    place of a symbol.
    """
    on_example = _run(program, example, "on the example inputs")
    try:
        other = at_other_sizes(example, declared, _symbolic(program, example))
    except InputsRefused as error:
        stopped = Stopped(place="its inputs", error=raised_from(error))
        return (on_example, NodeRun(label="at other sizes", values={}, sizes={}, stopped=stopped))
    return (on_example,) if other is None else (on_example, _run(program, other, "at other sizes"))


def run_digest(program: torch.export.ExportedProgram) -> str | None:
    """Return a digest of everything that :func:`node_runs` of a program depends on, besides the inputs: two programs
    with the same digest yield the same. None for a program that holds objects which cannot be compared.
    """
    held = [state_value(program, spec) for spec in program.graph_signature.input_specs if spec.target is not None]
    if not all(isinstance(value, torch.Tensor) for value in held):
        return None
    graphs = list(nodes_of(program.graph_module))
    attributes = [node.op for node in graphs if node.op == "get_attr" and not _is_subgraph(program, node)]
    if attributes:
        return None
    return digest_of(
        [
            *(f"{node_text(node)} {_target_id(node)}" for node in graphs),
            *(repr(spec) for spec in program.graph_signature.input_specs),
            *(
                f"{type(value).__name__} {facts_text(value)} {value.requires_grad} {checksum_of(value)}"
                for value in held
            ),
            repr(list(keyword_order(program))),
            *_symbolic_shapes(program),
        ]
    )


def _state(program: torch.export.ExportedProgram, spec: Any) -> Any:
    return program.state_dict.get(spec.target, program.constants.get(spec.target))


def _is_subgraph(program: torch.export.ExportedProgram, node: torch.fx.Node) -> bool:
    owner = node.graph.owning_module or program.graph_module
    return isinstance(getattr(owner, str(node.target), None), torch.fx.GraphModule)


def _target_id(node: torch.fx.Node) -> str:
    """Return an id that distinguishes functions of one name; torch never frees its operators."""
    return str(id(node.target)) if callable(node.target) else ""


def _symbolic_shapes(program: torch.export.ExportedProgram) -> Iterator[str]:
    for node in program.graph.nodes:
        val = node.meta.get("val")
        if node.op == "placeholder" and isinstance(val, torch.Tensor):
            yield f"{node.name} {tuple(val.shape) if not val.is_nested else ''}"


def _symbolic(program: torch.export.ExportedProgram, call: Inputs) -> dict[tuple[str, int], Any]:
    """Map (place, dim) of the inputs to the sympy expression that the program has for it, where it depends on
    symbols.
    """
    leaves = flat_inputs(program, call.args, call.kwargs)
    places = _places(leaves, list(input_leaves(call.args, call.kwargs)))
    vals = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    found: dict[tuple[str, int], Any] = {}
    for name, leaf, place in zip(program.graph_signature.user_inputs, leaves, places, strict=False):
        val = vals.get(str(name))
        if isinstance(val, torch.Tensor) and isinstance(leaf, torch.Tensor):
            for dim, size in enumerate(val.shape):
                if isinstance(size, torch.SymInt):
                    found[place, dim] = size.node.expr
    return found


def _places(leaves: Sequence[Any], placed: Sequence[tuple[str, Any]]) -> list[str]:
    """Return the place of each leaf. One tensor may be passed twice, and a registered class may make new tensors
    whenever it is flattened: those are paired in order.
    """
    known = {id(leaf) for leaf in leaves}
    places: dict[int, list[str]] = {}
    for place, leaf in placed:
        places.setdefault(id(leaf), []).append(place)
    made_again = iter([place for place, leaf in placed if id(leaf) not in known])
    return [places[id(leaf)].pop(0) if id(leaf) in places else next(made_again, "") for leaf in leaves]


def _sizes(call: Inputs) -> dict[str, int]:
    """Return the value of every symbol that an input fixes, as :class:`Symbols` names it."""
    return {
        f"{place}.size({dim})": size
        for place, leaf in input_leaves(call.args, call.kwargs)
        if isinstance(leaf, torch.Tensor) and not leaf.is_nested
        for dim, size in enumerate(leaf.shape)
    }


def _run(program: torch.export.ExportedProgram, call: Inputs, label: str) -> NodeRun:
    """Return what each placeholder and call node yields: ``TensorValue``, a number, or a tuple of such, by place.

    Buffers, constants and inputs are copies; parameters too where a node may write to them. The record of a program
    that cannot be run this way has the values that were reached before, and where the run stopped.
    """
    run, stopped = _attempt(program, call)
    if stopped is not None:  # nodes that write to what requires grad run without grad only
        with torch.no_grad():
            again, stopped_again = _attempt(program, call)
        if stopped_again is None:
            run, stopped = again, None
    return NodeRun(label=label, values=run.values, sizes=_sizes(call), stopped=stopped)


def _attempt(program: torch.export.ExportedProgram, call: Inputs) -> tuple[_Progress, Stopped | None]:
    """Run the program in the grad mode of the program's call: attention uses another kernel, with other strides, where
    its mask requires grad.
    """
    run = _Progress()
    try:
        _Recorder(program.graph_module, "", run).run(*graph_inputs(program, call))
    except (Exception, SystemExit) as error:
        return run, Stopped(place=run.place, error=raised_from(error))
    return run, None


@dataclass(eq=False)
class _Progress:
    """The values that were yielded so far, and the place of the node that runs."""

    values: dict[str, Any] = field(default_factory=dict)
    place: str = "its inputs"


class _Recorder(torch.fx.Interpreter):
    """An interpreter that keeps facts, not values. Subgraphs run under separate recorders; of a loop the first round
    counts.
    """

    def __init__(self, module: torch.fx.GraphModule, path: str, progress: _Progress) -> None:
        super().__init__(module)
        self._path = path
        self._progress = progress
        self._symbols = Symbols()

    def run_node(self, n: torch.fx.Node) -> Any:
        place = f"{self._path}.{n.name}" if self._path else n.name
        self._progress.place = place
        result = super().run_node(n)
        if n.op in ("call_function", "placeholder"):
            self._progress.values.setdefault(place, _facts(result, self._symbols))
        elif isinstance(result, torch.fx.GraphModule) and len(n.users) == 1:
            return _Subgraph(result, self._place_in(next(iter(n.users)), n), self._progress)
        return result

    def _place_in(self, owner: torch.fx.Node, graph: torch.fx.Node) -> str:
        """Return the subgraph's path as the record of the program names it: the node that is given it, and in which
        argument.
        """
        keys = {f"[{place}]": value for place, value in enumerate(owner.args)}
        keys |= {f"[{key}]": value for key, value in owner.kwargs.items()}
        key = next((key for key, value in keys.items() if value is graph), "")
        return f"{self._path}.{owner.name}{key}" if self._path else f"{owner.name}{key}"


class _Subgraph(torch.nn.Module):
    """A subgraph that records what its nodes yield when it is called."""

    def __init__(self, module: torch.fx.GraphModule, path: str, progress: _Progress) -> None:
        super().__init__()
        self._run = (module, path, progress)

    def forward(self, *args: Any) -> Any:
        module, path, progress = self._run
        return _Recorder(module, path, progress).run(*args)


def _facts(value: Any, symbols: Symbols) -> Any:
    if isinstance(value, torch.Tensor):
        return tensor_value(value, symbols)
    if isinstance(value, (list, tuple)):
        return tuple(_facts(each, symbols) for each in value)
    return value if type(value) in (int, float, bool) else None
