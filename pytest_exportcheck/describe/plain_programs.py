"""The description of a program that was read as plain data, as a :class:`ProgramRecord`: nothing of it is built or run.

An operator, a class or a pytree node that is not registered here is described by its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_exportcheck.describe.operators import operator_facts
from pytest_exportcheck.describe.plain_values import PlainValues, origin_of, tagged
from pytest_exportcheck.describe.program import tied_names, used_symbols
from pytest_exportcheck.describe.symbols import Symbols, interval_of
from pytest_exportcheck.errors import UnsupportedError
from pytest_exportcheck.records import (
    CallSpecRecord,
    ConstraintsRecord,
    GraphRecord,
    GraphRef,
    Interval,
    Leaf,
    NodeRecord,
    ProgramRecord,
    SignatureRecord,
    Size,
    SpecRecord,
    TensorValue,
)
from pytest_exportcheck.records.programs import OperatorFact
from pytest_exportcheck.reference.pt2.plain.names import target_of

_OPERATORS, _HIGHER_ORDER = "torch.ops.", "torch.ops.higher_order."
_GETITEM = "_operator.getitem"


def plain_program_of(
    given: Mapping[str, Any],
    *,
    constants: Mapping[str, Any],
    state: Mapping[str, Any],
    examples: tuple[Leaf, ...] | None = None,
) -> ProgramRecord:
    """Describe a plain program. ``constants`` and ``state`` are the tensors of its file, by name."""
    symbols = Symbols()
    values = PlainValues(symbols)
    places = input_places_of(given)
    _introduce_inputs(given, places, values, symbols)
    graphs = {record.path: record for record in _graphs("", given["graph"], values)}
    return ProgramRecord(
        graphs=graphs,
        signature=SignatureRecord(
            tuple(_spec(each) for each in given["inputs"]), tuple(_spec(each) for each in given["outputs"])
        ),
        constraints=_constraints(given, places, graphs, values, symbols),
        constants=constants,
        state_names=tuple(state),
        tied_names=tied_names(state),
        examples=examples,
        module_calls={each["fqn"]: _call_text(each["signature"]) for each in given["calls"]},
        graph_meta={},
        dialect=given["verifiers"][0] if given["verifiers"] else "",
        verifiers=tuple(given["verifiers"]),
    )


def plain_call_spec_of(given: Mapping[str, Any]) -> CallSpecRecord:
    """Return how a plain program expects to be called, with its pytree specs as text."""
    signature = _root_call(given)
    if signature is None:
        return CallSpecRecord(None, None, None)
    names = signature["forward_arg_names"]
    return CallSpecRecord(
        spec_words(signature["in_spec"]), spec_words(signature["out_spec"]), tuple(names) if names else None
    )


def _root_call(given: Mapping[str, Any]) -> Mapping[str, Any] | None:
    calls = [each["signature"] for each in given["calls"] if each["fqn"] == ""]
    return calls[0] if calls else None


def user_inputs(given: Mapping[str, Any]) -> list[str]:
    """Return the names of the placeholders of the user's inputs."""
    return [_argument(each["arg"])[0] for each in given["inputs"] if each["kind"] == "USER_INPUT"]


# --- places of inputs -----------------------------------------------------------------------


def input_places_of(given: Mapping[str, Any]) -> list[str]:
    """Return the places of the user's inputs: ``args[0]``, ``kwargs['mask']``; without a call specification, numbers."""
    signature = _root_call(given)
    count = len(user_inputs(given))
    described = signature["in_spec"] if signature else None
    if described is None or len(described["children"]) != 2:
        return [f"args[{number}]" for number in range(count)]
    args, kwargs = described["children"]
    places = [*_leaves(args, "args"), *_leaves(kwargs, "kwargs")]
    return places if len(places) == count else [f"args[{number}]" for number in range(count)]


def _leaves(described: Any, place: str) -> Iterator[str]:
    if described is None:
        yield place
        return
    for key, child in zip(_keys(described), described["children"], strict=False):
        yield from _leaves(child, place + key)


def _keys(described: Mapping[str, Any]) -> list[str]:
    """Return the part of a place for each child of a described pytree node: keys, fields, else numbers."""
    kind, kept = described["node"]
    count = len(described["children"])
    names = kept[1] if kind == "defaultdict" else kept
    if kind in ("dict", "OrderedDict", "defaultdict") and isinstance(names, list) and len(names) == count:
        return [f"[{name!r}]" for name in names]
    if kind == "namedtuple" and len(kept[2]) == count:
        return [f".{name}" for name in kept[2]]
    return [f"[{number}]" for number in range(count)]


def spec_words(described: Any) -> str | None:
    """Return a described pytree spec in one line; None where the file has none."""
    return None if described is None else _words(described)


def _words(described: Any) -> str:
    if described is None:
        return "*"
    kind, kept = described["node"]
    children = [_words(each) for each in described["children"]]
    if kind == "tuple":
        return f"({', '.join(children)}{',' if len(children) == 1 else ''})"
    if kind == "list":
        return f"[{', '.join(children)}]"
    named = [f"{key.strip('[].')}: {child}" for key, child in zip(_keys(described), children, strict=False)]
    return f"{_class_words(kind, kept)}({', '.join(named)})"


def _class_words(kind: str, kept: Any) -> str:
    """Return the name of the class of a described pytree node, and what it keeps besides keys and fields."""
    if kind == "registered":
        return f"{kept[0]}{'' if kept[1] is None else kept[1]}"
    if kind in ("namedtuple", "dataclass"):
        return f"{kept[0]}.{kept[1]}"
    return f"torch.return_types.{kept}" if kind == "torch.return_types" else kind


def _introduce_inputs(given: Mapping[str, Any], places: Sequence[str], values: PlainValues, symbols: Symbols) -> None:
    """Name the symbols of the inputs after the dims that they are the size of."""
    nodes = given["graph"]["nodes"]
    for name, place in zip(user_inputs(given), places, strict=False):
        val = nodes[name]["meta"].get("val") if name in nodes else None
        if isinstance(val, dict) and "tensor" in val:
            sizes = val["tensor"]["shape"]
            symbols.introduce(
                place,
                tuple(values.expression(size["sym_int"][0]) if isinstance(size, dict) else size for size in sizes),
            )


# --- graphs ---------------------------------------------------------------------------------


def _graphs(
    path: str, given: Mapping[str, Any], values: PlainValues, regions: tuple[str, ...] = ()
) -> Iterator[GraphRecord]:
    """Yield a graph, then the subgraphs that its nodes are given."""
    names = {
        name: node["target"]
        for name, node in given["nodes"].items()
        if node["op"] == "get_attr" and node["target"] in given["graphs"]
    }
    nodes, inner = [], []
    for name in given["order"]:
        if name not in names:
            node = given["nodes"][name]
            nodes.append(_node(name, node, values, names))
            inner += [
                (f"{path}.{name}{place}" if path else f"{name}{place}", names[graph], target_text_of(node["target"]))
                for place, graph in _named_graphs(node, names)
            ]
    yield GraphRecord(path, tuple(nodes), regions)
    for where, graph, operator in inner:
        yield from _graphs(where, given["graphs"][graph], values, (*regions, operator))


def _named_graphs(node: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the places of the arguments that are subgraphs, and the names of these."""
    for place, value in _arguments(node):
        pending = [value]
        while pending:
            each = pending.pop()
            if isinstance(each, dict) and each.get("node") in names:
                yield place, each["node"]
            elif isinstance(each, (dict, list)):
                pending += each.values() if isinstance(each, dict) else each


def _arguments(node: Mapping[str, Any]) -> list[tuple[str, Any]]:
    places = [(f"[{number}]", value) for number, value in enumerate(node["args"])]
    return [*places, *((f"[{key}]", value) for key, value in node["kwargs"].items())]


def _node(name: str, given: Mapping[str, Any], values: PlainValues, graphs: Mapping[str, str]) -> NodeRecord:
    meta = given["meta"]
    val = meta.get("val")
    frozen = [values.frozen(value, place, graphs) for place, value in _arguments(given)]
    args = tuple(frozen[: len(given["args"])])
    kwargs = dict(zip(given["kwargs"], frozen[len(args) :], strict=True))
    is_input = given["op"] == "placeholder" and isinstance(val, dict) and "tensor" in val
    flag = {"requires_grad": bool(val["tensor"].get("requires_grad"))} if is_input else {}
    return NodeRecord(
        name=name,
        op=given["op"],
        target=target_text_of(given["target"]),
        args=args,
        kwargs=kwargs,
        val=None if given["op"] == "output" else values.frozen(val),
        meta={**values.metadata(meta), **flag},
        origin=origin_of(meta),
        facts=_facts(given["target"], args, kwargs) if given["op"] == "call_function" else frozenset(),
    )


def target_text_of(target: str) -> str:
    """Return the name of a target in a file as records have it: ``aten.add.Tensor``, ``cond``."""
    return target.removeprefix(_HIGHER_ORDER).removeprefix(_OPERATORS)


def _facts(target: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> frozenset[OperatorFact]:
    """Return the facts about an operator; none about one that is not registered here."""
    if target == _GETITEM:
        return frozenset({"bookkeeping", "fetch", "getitem"})
    if any(isinstance(each, GraphRef) for each in args):
        return frozenset({"bookkeeping"})
    try:
        return operator_facts(target_of(target), args, kwargs)
    except UnsupportedError:
        return frozenset()


# --- the rest -------------------------------------------------------------------------------


def _argument(arg: Mapping[str, Any]) -> tuple[str, str]:
    """Return the name of an argument of the signature, and its kind with its value."""
    tag, content = tagged(arg)
    if tag == "custom_object":
        return str(content[0]), "CustomObjArgument"
    kind, name, *value = content
    return str(name), f"{kind} {value[0]!r}" if value else str(kind)


def _spec(given: Mapping[str, Any]) -> SpecRecord:
    name, value = _argument(given["arg"])
    return SpecRecord(given["kind"], name, given["target"], given.get("persistent"), value)


def _constraints(
    given: Mapping[str, Any],
    places: Sequence[str],
    graphs: Mapping[str, GraphRecord],
    values: PlainValues,
    symbols: Symbols,
) -> ConstraintsRecord:
    vals = {node.name: node.val for node in graphs[""].nodes if node.op == "placeholder"}
    shapes = {
        place: val.shape
        for place, name in zip(places, user_inputs(given), strict=False)
        if isinstance(val := vals.get(name), TensorValue)
    }
    ranges: dict[str, Interval] = {}
    for text, lower, upper in given["ranges"]:
        size = values.size(text)
        if isinstance(size, Size):
            ranges[size.text] = interval_of(_Bounds(values.expression(lower), values.expression(upper)))
    return ConstraintsRecord(
        shapes=shapes,
        ranges=ranges,
        guards=tuple(given["guards"]),
        unused=symbols.names - used_symbols(graphs.values()),
    )


class _Bounds:
    """The bounds of a range, as :func:`interval_of` takes them."""

    def __init__(self, lower: Any, upper: Any) -> None:
        self.lower = lower
        self.upper = upper


def _call_text(signature: Mapping[str, Any] | None) -> str:
    """Return the preserved call signature of a submodule in one line; empty where none is preserved."""
    if signature is None:
        return ""
    inputs, outputs = ([_argument(each)[0] for each in signature[key]] for key in ("inputs", "outputs"))
    specs = f"{spec_words(signature['in_spec'])} -> {spec_words(signature['out_spec'])}"
    return f"{inputs} -> {outputs} {specs} {signature['forward_arg_names']}"
