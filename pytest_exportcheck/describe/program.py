"""The description of an exported program as a :class:`ProgramRecord`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

from pytest_exportcheck.describe.defaults import taken_from_defaults
from pytest_exportcheck.describe.freeze import (
    frozen,
    frozen_metadata,
    origin_of,
    target_text,
)
from pytest_exportcheck.describe.guards import acceptance
from pytest_exportcheck.describe.operators import operator_facts
from pytest_exportcheck.describe.places import input_places
from pytest_exportcheck.describe.symbols import Symbols, interval_of
from pytest_exportcheck.harness._torch import guards_of, is_object, pytree
from pytest_exportcheck.harness.objects import as_value
from pytest_exportcheck.harness.tensors import leaf_of, named_leaves, storage_key
from pytest_exportcheck.records import (
    ConstraintsRecord,
    DeclaredDim,
    GraphRecord,
    GraphRef,
    Leaf,
    NodeRecord,
    NodeRef,
    NodeRun,
    ProgramRecord,
    Raised,
    SignatureRecord,
    Size,
    SpecRecord,
    TensorValue,
)


def program_of(
    program: torch.export.ExportedProgram,
    *,
    declared: tuple[DeclaredDim, ...] = (),
    runs: tuple[NodeRun, ...] = (),
) -> ProgramRecord:
    """Describe everything in a program, except what ``state_of`` and ``call_spec_of`` describe of its module."""
    symbols = Symbols()
    places = input_places(program)
    for spec, place in zip(_user_inputs(program), places, strict=False):
        value = _placeholder_value(program, spec.arg.name)
        if isinstance(value, torch.Tensor):
            symbols.introduce(place, tuple(value.shape))
    graphs = {record.path: record for record in _graphs("", program.graph_module, symbols)}
    return ProgramRecord(
        graphs=graphs,
        signature=_signature(program.graph_signature),
        constraints=_constraints(program, places, graphs, symbols, declared),
        constants={name: as_value(value) for name, value in program.constants.items()},
        state_names=tuple(program.state_dict),
        tied_names=tied_names(program.state_dict),
        examples=_examples(program),
        example_structure=pytree.tree_structure(program.example_inputs),
        module_calls={entry.fqn: _call_text(entry.signature) for entry in program.module_call_graph},
        graph_meta={key: frozen(value, symbols) for key, value in program.graph_module.meta.items()},
        dialect=program.dialect if program.verifiers else "",
        verifiers=tuple(verifier.__name__ for verifier in program.verifiers),
        refused_by=_refused_by(program),
        runs=runs,
    )


def node_of(node: torch.fx.Node) -> NodeRecord:
    """Describe a node by itself: of a module that has a graph and is not a program, such as one of ``unflatten``."""
    return _node("", node.graph.owning_module, node, Symbols(), [])


def _user_inputs(program: torch.export.ExportedProgram) -> list[Any]:
    user = torch.export.graph_signature.InputKind.USER_INPUT
    return [spec for spec in program.graph_signature.input_specs if spec.kind == user]


def _placeholder_value(program: torch.export.ExportedProgram, name: str) -> Any:
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name == name:
            return node.meta.get("val")
    return None


def _graphs(path: str, module: Any, symbols: Symbols, regions: tuple[str, ...] = ()) -> Iterator[GraphRecord]:
    """Yield the graph of a module, then the subgraphs that its nodes are given."""
    subgraphs: list[tuple[str, Any, str]] = []
    nodes = []
    for node in module.graph.nodes:
        if _subgraph(module, node) is None:
            nodes.append(_node(path, module, node, symbols, subgraphs))
    yield GraphRecord(path, tuple(nodes), regions)
    for inner, submodule, operator in subgraphs:
        yield from _graphs(inner, submodule, symbols, (*regions, operator))


def _subgraph(owner: Any, node: torch.fx.Node) -> Any:
    """Return the graph module that a ``get_attr`` node fetches, None for any other node."""
    if node.op != "get_attr":
        return None
    value = owner
    for part in str(node.target).split("."):
        value = getattr(value, part, None)
    return value if isinstance(getattr(value, "graph", None), torch.fx.Graph) else None


def _node(
    path: str, owner: Any, node: torch.fx.Node, symbols: Symbols, subgraphs: list[tuple[str, Any, str]]
) -> NodeRecord:
    def argument(value: Any, place: str) -> Any:
        if isinstance(value, torch.fx.Node):
            inner = _subgraph(owner, value)
            if inner is None:
                return NodeRef(value.name)
            where = f"{path}.{node.name}{place}" if path else f"{node.name}{place}"
            subgraphs.append((where, inner, target_text(node.target)))
            return GraphRef(place)
        if isinstance(value, (list, tuple)):
            return tuple(argument(each, place) for each in value)
        return frozen(value, symbols)

    return NodeRecord(
        name=node.name,
        op=node.op,
        target=target_text(node.target),
        args=tuple(argument(value, f"[{number}]") for number, value in enumerate(node.args)),
        kwargs={key: argument(value, f"[{key}]") for key, value in node.kwargs.items()},
        val=frozen(node.meta.get("val"), symbols),
        meta={**frozen_metadata(node.meta, symbols), **_gradient_flag(node)},
        origin=origin_of(node.meta),
        defaults=taken_from_defaults(node),
        facts=operator_facts(node.target, node.args, node.kwargs) if node.op == "call_function" else frozenset(),
    )


def _gradient_flag(node: torch.fx.Node) -> dict[str, bool]:
    """Return the ``requires_grad`` of an input's val; that of a computed value is not part of the contract."""
    value = node.meta.get("val")
    return (
        {"requires_grad": value.requires_grad} if node.op == "placeholder" and isinstance(value, torch.Tensor) else {}
    )


def tied_names(state: Mapping[str, Any]) -> frozenset[str]:
    """Return the names whose tensor shares its storage with that of another name."""
    keys = {name: key for name, value in state.items() if (key := storage_key(value)) is not None}
    count = Counter(keys.values())
    return frozenset(name for name, key in keys.items() if count[key] > 1)


def _signature(signature: torch.export.ExportGraphSignature) -> SignatureRecord:
    return SignatureRecord(
        tuple(_spec(spec) for spec in signature.input_specs), tuple(_spec(spec) for spec in signature.output_specs)
    )


def _spec(spec: Any) -> SpecRecord:
    return SpecRecord(
        kind=spec.kind.name,
        name=getattr(spec.arg, "name", ""),
        target=spec.target,
        persistent=getattr(spec, "persistent", None),
        value=_argument_text(spec.arg),
    )


def _argument_text(arg: Any) -> str:
    """Return the kind of an argument with its value. torch's reader makes a constant of an object that a caller
    passes.
    """
    if not hasattr(arg, "value"):
        return type(arg).__name__
    return "CustomObjArgument" if is_object(arg.value) else f"{type(arg).__name__} {arg.value!r}"


def _constraints(
    program: torch.export.ExportedProgram,
    places: list[str],
    graphs: Mapping[str, GraphRecord],
    symbols: Symbols,
    declared: tuple[DeclaredDim, ...],
) -> ConstraintsRecord:
    values = {node.name: node.val for node in graphs[""].nodes if node.op == "placeholder"}
    inputs = [getattr(spec.arg, "name", "") for spec in _user_inputs(program)]
    shapes = {
        place: values[name].shape
        for place, name in zip(places, inputs, strict=False)
        if hasattr(values.get(name), "shape")
    }
    ranges = {}
    used = used_symbols(graphs.values())
    for expr, bounds in program.range_constraints.items():
        size = symbols.size(expr)
        if isinstance(size, Size):
            ranges[size.text] = interval_of(bounds)
    guards = guards_of(program)
    return ConstraintsRecord(
        shapes=shapes,
        ranges=ranges,
        guards=guards,
        accepts=acceptance(program, guards, declared),
        unused=symbols.names - used,
    )


def used_symbols(graphs: Iterable[GraphRecord]) -> frozenset[str]:
    """Return the names of the symbols that arguments, numbers, shapes or strides of nodes depend on; storage offsets do
    not count.
    """
    values = (
        value for graph in graphs for node in graph.nodes for value in (node.val, node.args, *node.kwargs.values())
    )
    return frozenset(str(symbol) for value in values for size in _sizes_in(value) for symbol in size.expr.free_symbols)


def _sizes_in(value: Any) -> Iterator[Size]:
    if isinstance(value, Size):
        yield value
    elif isinstance(value, TensorValue):
        yield from _sizes_in((value.shape, value.stride))
    elif isinstance(value, tuple):
        for each in value:
            yield from _sizes_in(each)


def _examples(program: torch.export.ExportedProgram) -> tuple[Leaf, ...] | None:
    if program.example_inputs is None:
        return None
    args, kwargs = program.example_inputs
    leaves = [*named_leaves(args, "args"), *named_leaves(kwargs, "kwargs")]
    return tuple(leaf_of(place, as_value(value)) for place, value in leaves)


def _call_text(signature: Any) -> str:
    """Return the preserved call signature of a submodule in one line; empty where none is preserved."""
    if signature is None:
        return ""
    return " ".join(
        f"{list(signature.inputs)} -> {list(signature.outputs)} {signature.in_spec} {signature.out_spec} "
        f"{signature.forward_arg_names}".split()
    )


def _refused_by(program: torch.export.ExportedProgram) -> Raised | None:
    for verifier in program.verifiers:
        try:
            verifier().check(program)
        except Exception as error:  # any error of a verifier is its finding
            text = str(error).strip()
            return Raised(verifier.__name__, text.splitlines()[0] if text else type(error).__name__)
    return None
