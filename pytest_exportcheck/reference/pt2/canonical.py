"""The canonical form of a program's structures, which depends neither on names nor on the order of independent
parts.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from typing import Any

import msgspec
import torch

from pytest_exportcheck.errors import UnsupportedError
from pytest_exportcheck.reference._torch.values import HigherOrderOperator
from pytest_exportcheck.reference.pt2 import schema
from pytest_exportcheck.reference.pt2.json.codec import encode
from pytest_exportcheck.reference.pt2.plain.names import schema_of, target_of
from pytest_exportcheck.reference.pt2.schema.base import Record, Tagged, fields

Rename = Callable[[str], str]
_INPUTS = ("token", "parameter", "buffer", "tensor_constant", "custom_obj")
_MUTATIONS = ("buffer_mutation", "parameter_mutation", "user_input_mutation")
_NAMED = (schema.TensorArgument, schema.CustomObjArgument, schema.TokenArgument, schema.InputToConstantInputSpec)


def canonicalize(program: schema.ExportedProgram) -> schema.ExportedProgram:
    """Return the same program with its values called ``_0``, ``_1``, ... and its parts in an order that follows from
    what the program computes.

    Programs that differ in names, in the order of the state in the signature, or in the order of nodes that do not
    depend on each other become equal. Effects keep their place: nothing moves over a node that writes to a tensor,
    asserts, or touches an object, and random operators keep their order. User inputs and outputs keep theirs. Names of
    symbols and metadata are kept; the supplement is left out, because it refers to names.
    """
    module = program.graph_module
    inputs = _sorted_inputs(module.signature.input_specs)
    outputs = _sorted_outputs(module.signature.output_specs, module.signature.input_specs)
    graph, names = _canonical_graph(_permuted(module.graph, inputs, outputs))

    def rename(name: str) -> str:
        return names.get(name, name)

    return msgspec.structs.replace(
        program,
        graph_module=msgspec.structs.replace(
            module,
            graph=graph,
            signature=schema.GraphSignature(
                input_specs=[_renamed(module.signature.input_specs[place], rename) for place in inputs],
                output_specs=[_renamed(module.signature.output_specs[place], rename) for place in outputs],
            ),
            module_call_graph=[_renamed(each, rename) for each in module.module_call_graph],
            treespec_namedtuple_fields=_sorted(module.treespec_namedtuple_fields),
        ),
        opset_version=_sorted(program.opset_version),
        range_constraints=_sorted(program.range_constraints),
        exportcheck=None,
    )


def _sorted(table: Mapping[str, Any]) -> dict[str, Any]:
    return dict(sorted(table.items()))


# --- the signature --------------------------------------------------------------------------


def _sorted_inputs(specs: list[schema.InputSpec]) -> list[int]:
    """Return the order of the inputs: state by kind and name, then the user's inputs, in their order."""

    def key(place: int) -> tuple[Any, ...]:
        spec = specs[place]
        if spec.tag not in _INPUTS:
            return (len(_INPUTS), "", place)
        return (_INPUTS.index(spec.tag), _target(spec), place)

    return sorted(range(len(specs)), key=key)


def _sorted_outputs(specs: list[schema.OutputSpec], inputs: list[schema.InputSpec]) -> list[int]:
    """Return the order of the outputs: mutations by kind and target, then the user's outputs, in their order."""
    places = {_names_in(spec)[0]: place for place, spec in enumerate(inputs) if _names_in(spec)}

    def key(place: int) -> tuple[Any, ...]:
        spec = specs[place]
        if spec.tag == "token":
            return (0, 0, "", place)
        if spec.tag not in _MUTATIONS:
            return (2, 0, "", place)
        by_name = spec.tag == "user_input_mutation"  # such a name is not the module's
        target = f"{places.get(_target(spec), 0):09d}" if by_name else _target(spec)
        return (1, _MUTATIONS.index(spec.tag), target, place)

    return sorted(range(len(specs)), key=key)


def _target(spec: schema.InputSpec | schema.OutputSpec) -> str:
    """Return the name that a part of the state has in the module."""
    record: Any = type(spec.value)
    return next((getattr(spec.value, field) for field in fields(record) if field.endswith("_name")), "")


def _permuted(graph: schema.Graph, inputs: list[int], outputs: list[int]) -> schema.Graph:
    return msgspec.structs.replace(
        graph, inputs=[graph.inputs[place] for place in inputs], outputs=[graph.outputs[place] for place in outputs]
    )


# --- graphs ---------------------------------------------------------------------------------


def _canonical_graph(graph: schema.Graph) -> tuple[schema.Graph, dict[str, str]]:
    """Return the graph, and the new name of each value."""
    nodes = [msgspec.structs.replace(node, inputs=[_with_graph(each) for each in node.inputs]) for node in graph.nodes]
    names: dict[str, str] = {}
    _name_all(graph.inputs, names)
    order = _order(nodes, graph.outputs, names)
    numbered = sorted(names, key=lambda name: int(names[name][1:]))

    def rename(name: str) -> str:
        return names.get(name, name)

    def table(values: Mapping[str, Any]) -> dict[str, Any]:
        return {names[name]: _renamed(values[name], rename) for name in numbered if name in values}

    return schema.Graph(
        inputs=[_renamed(each, rename) for each in graph.inputs],
        outputs=[_renamed(each, rename) for each in graph.outputs],
        nodes=[_renamed(nodes[place], rename) for place in order],
        tensor_values=table(graph.tensor_values),
        sym_int_values=table(graph.sym_int_values),
        sym_bool_values=table(graph.sym_bool_values),
        is_single_tensor_return=graph.is_single_tensor_return,
        custom_obj_values=table(graph.custom_obj_values),
        sym_float_values=table(graph.sym_float_values),
    ), names


def _with_graph(given: schema.NamedArgument) -> schema.NamedArgument:
    if given.arg.tag != "as_graph":
        return given
    inner, _ = _canonical_graph(given.arg.value.graph)
    return msgspec.structs.replace(
        given, arg=schema.Argument("as_graph", msgspec.structs.replace(given.arg.value, graph=inner))
    )


def _name_all(values: Iterable[Any], names: dict[str, str]) -> None:
    for value in values:
        for name in _names_in(value):
            names.setdefault(name, f"_{len(names)}")


def _order(nodes: list[schema.Node], outputs: list[schema.Argument], names: dict[str, str]) -> list[int]:
    """Return the order of the nodes, and name what they yield. Of the nodes that can come next, the first is the one
    whose operator and arguments come first.
    """
    uses = [_names_in(node.inputs) for node in nodes]
    yields = [_names_in(node.outputs) for node in nodes]
    effects = [_effect_of(node) for node in nodes]
    colours = _colours(nodes, uses, yields, outputs, names)
    users, waits_for = _dependencies(uses, yields, effects)
    parts = _parts(effects)
    ready: list[tuple[Any, ...]] = []

    def push(place: int) -> None:
        node = nodes[place]
        ranks = [int(names.get(name, "_-1")[1:]) for name in uses[place]]
        metadata = str(sorted(node.metadata.items()))
        heapq.heappush(ready, (parts[place], node.target, ranks, colours[place], metadata, place))

    for place, count in enumerate(waits_for):
        if not count:
            push(place)
    order = []
    while ready:
        place = heapq.heappop(ready)[-1]
        order.append(place)
        for name in (nodes[place].name, *yields[place]):
            if name:
                names.setdefault(name, f"_{len(names)}")
        for user in users[place]:
            waits_for[user] -= 1
            if not waits_for[user]:
                push(user)
    return order


def _dependencies(
    uses: list[list[str]], yields: list[list[str]], effects: list[_Effect]
) -> tuple[dict[int, list[int]], list[int]]:
    """Return for each node the places of the nodes that wait for it, and for how many nodes each node waits."""
    users: dict[int, list[int]] = defaultdict(list)
    waits_for = [0] * len(uses)
    maker: dict[str, int] = {}
    last_ordered: int | None = None
    for place, used in enumerate(uses):
        before = {maker[name] for name in used if name in maker}
        if effects[place] is _Effect.ORDERED:
            before |= {last_ordered} - {None}  # type: ignore[arg-type]
            last_ordered = place
        for each in before:
            users[each].append(place)
        waits_for[place] = len(before)
        maker |= dict.fromkeys(yields[place], place)
    return users, waits_for


def _parts(effects: list[_Effect]) -> list[int]:
    """Return the number of the part in which each node is: a node that nothing may move over is a part by itself."""
    parts, number = [], 0
    for effect in effects:
        alone = effect is _Effect.FIXED
        parts.append(number + alone)
        number += 2 * alone
    return parts


def _colours(
    nodes: list[schema.Node],
    uses: list[list[str]],
    yields: list[list[str]],
    outputs: list[schema.Argument],
    names: Mapping[str, str],
) -> list[str]:
    """Return a text for each node that says what it computes and how its results are used, without any names."""
    colours = [""] * len(nodes)
    maker = {name: (place, number) for place, made in enumerate(yields) for number, name in enumerate(made)}
    returned: dict[int, list[str]] = defaultdict(list)
    for number, name in enumerate(_names_in(outputs)):
        if name in maker:
            returned[maker[name][0]].append(f"{number}:{maker[name][1]}")
    kinds = 0
    while True:
        of: dict[str, str] = dict(names)
        for place, node in enumerate(nodes):
            inputs = _renamed(node.inputs, lambda name: of.get(name, name))  # noqa: B023 -- called at once
            texts = [encode(each).decode() for each in inputs]
            colours[place] = _hash(colours[place], node.target, str(len(node.outputs)), *texts)
            of |= {name: f"{colours[place]}.{number}" for number, name in enumerate(yields[place])}
        later: dict[int, list[str]] = defaultdict(list)
        for place in reversed(range(len(nodes))):
            colours[place] = _hash(colours[place], *sorted(later[place]), "/", *returned[place])
            for slot, name in enumerate(uses[place]):
                if name in maker:
                    later[maker[name][0]].append(f"{colours[place]} {slot} {maker[name][1]}")
        if len(set(colours)) == kinds:
            return colours
        kinds = len(set(colours))


def _hash(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


# --- effects --------------------------------------------------------------------------------


class _Effect(IntEnum):
    """The effects of a node beyond its results: none; it draws random numbers; any other."""

    NONE = 0
    ORDERED = 1
    FIXED = 2


#: Higher-order operators that have the effects of their graphs, or whose effects pass through their results.
_TRANSPARENT = frozenset(
    (
        *("cond", "map_impl", "scan", "while_loop", "associative_scan"),
        *("wrap_with_set_grad_enabled", "wrap_with_autocast"),
        *("auto_functionalized", "auto_functionalized_v2", "with_effects"),
    )
)


def _effect_of(node: schema.Node) -> _Effect:
    try:
        operator = target_of(node.target)
    except UnsupportedError:
        return _Effect.FIXED
    if any(each.arg.tag == "as_custom_obj" for each in node.inputs):
        return _Effect.FIXED
    if isinstance(operator, HigherOrderOperator):
        if node.target.rpartition(".")[2] not in _TRANSPARENT:
            return _Effect.FIXED
        graphs = [each.arg.value.graph for each in node.inputs if each.arg.tag == "as_graph"]
        return max((_effect_of(inner) for graph in graphs for inner in graph.nodes), default=_Effect.NONE)
    found = schema_of(node.target)
    if found is None:
        return _Effect.NONE  # a function of numbers
    if found.is_mutable or not found.returns:
        return _Effect.FIXED
    random = torch.Tag.nondeterministic_seeded in getattr(operator, "tags", ())
    return _Effect.ORDERED if random else _Effect.NONE


# --- names ----------------------------------------------------------------------------------


def _renamed(value: Any, rename: Rename) -> Any:
    """Return the structure with its names of values replaced; a subgraph has separate names and keeps them."""
    if isinstance(value, schema.GraphArgument):
        return value
    if isinstance(value, Tagged):
        changed = rename(value.value) if value.tag == "as_name" else _renamed(value.value, rename)
        return value if changed is value.value else type(value)(value.tag, changed)
    if isinstance(value, list):
        return [_renamed(each, rename) for each in value]
    if isinstance(value, dict):
        return {key: _renamed(each, rename) for key, each in value.items()}
    if not isinstance(value, Record):
        return value
    changes = {field: _renamed(getattr(value, field), rename) for field in fields(type(value))}
    if isinstance(value, _NAMED) or (isinstance(value, schema.Node) and value.name):
        changes["name"] = rename(changes["name"])
    if "user_input_name" in changes:
        changes["user_input_name"] = rename(changes["user_input_name"])
    return type(value)(**changes)


def _names_in(value: Any) -> list[str]:
    """Return the names of values in a structure, in order."""
    found: list[str] = []

    def note(name: str) -> str:
        found.append(name)
        return name

    _renamed(value, note)
    return found
