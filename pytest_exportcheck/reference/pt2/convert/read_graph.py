"""The reader of graphs: structures of the schema to plain graphs, with a ``getitem`` node for every result that is
taken.
"""

from __future__ import annotations

import keyword
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from pytest_exportcheck.errors import SchemaError, UnsupportedError, with_message
from pytest_exportcheck.reference.pt2 import schema
from pytest_exportcheck.reference.pt2.convert.arguments import Argument, read_argument
from pytest_exportcheck.reference.pt2.convert.metadata import read_metadata
from pytest_exportcheck.reference.pt2.convert.numbers import read_symbolic, read_tensor_meta
from pytest_exportcheck.reference.pt2.convert.write_graph import GETITEM
from pytest_exportcheck.reference.pt2.plain.kind import Plain
from pytest_exportcheck.reference.pt2.plain.names import schema_of

_HIGHER_ORDER = "torch.ops.higher_order."
_LISTS = ("as_tensors", "as_sym_ints", "as_sym_floats", "as_sym_bools")


def read_graph(given: schema.Graph, input_names: Sequence[str] = ()) -> dict[str, Plain]:
    """Return the plain graph. ``input_names`` are the names of the inputs, for those that are constants.

    Raises
    ------
    SchemaError
        Where a name refers to nothing, or to two values.
    """
    return _Reader(given).graph(input_names)


class _Reader:
    def __init__(self, given: schema.Graph) -> None:
        self._given = given
        self._nodes: dict[str, Any] = {}
        self._graphs: dict[str, Plain] = {}
        self._used = frozenset(_names_used(given))
        self._named = self._used | {node.name for node in given.nodes if node.name}
        self._numbers: dict[str, int] = {}
        self._pending: list[str] = []

    def graph(self, input_names: Sequence[str]) -> dict[str, Plain]:
        for number, each in enumerate(self._given.inputs):
            self._input(each, input_names[number] if number < len(input_names) else f"arg{number}")
        for number, node in enumerate(self._given.nodes):
            try:
                self._call(node, number)
            except (SchemaError, UnsupportedError) as error:
                raise with_message(error, f"node {node.name or number} ({node.target}): {error}") from None
        self._output()
        return {
            "order": list(self._nodes),
            "nodes": self._nodes,
            "graphs": dict(sorted(self._graphs.items())),
            "meta": {},
        }

    def _add(self, name: str, op: str, target: str, args: Plain = (), kwargs: Any = None, meta: Any = None) -> None:
        if name in self._nodes:
            raise SchemaError(f"two nodes are called {name!r}.")
        self._nodes[name] = {
            "op": op,
            "target": target,
            "args": list(args),
            "kwargs": dict(kwargs or {}),
            "meta": dict(sorted((meta or {}).items())),
        }

    def _yields(self, name: str, val: Plain) -> None:
        node = self._nodes[name]
        node["meta"] = dict(sorted({**node["meta"], "val": val}.items()))

    # --- inputs and outputs -----------------------------------------------------------------

    def _input(self, argument: Argument, name: str) -> None:
        if argument.tag in ("as_tensor", "as_custom_obj", "as_sym_int", "as_sym_float", "as_sym_bool"):
            name = _name_of(argument)
            self._add(name, "placeholder", name, meta={"val": self._val(argument)})
        else:
            self._add(name, "placeholder", name, meta={"val": read_argument(argument, self._hold)})

    def _output(self) -> None:
        results = [read_argument(each, self._hold) for each in self._given.outputs]
        if self._given.is_single_tensor_return and len(results) != 1:
            raise SchemaError(f"a graph that returns a single tensor has one output, got {len(results)}.")
        returned = results[0] if self._given.is_single_tensor_return else {"tuple": results}
        self._add(self._free("output"), "output", "output", [returned])

    def _val(self, argument: Argument) -> Plain:
        """Return the plain value of a named result."""
        given, name = self._given, _name_of(argument)
        if argument.tag == "as_custom_obj":
            return {"custom_object": [argument.value.name, argument.value.class_fqn]}
        tables: Mapping[str, Mapping[str, Any]] = {
            "as_tensor": given.tensor_values,
            "as_sym_int": given.sym_int_values,
            "as_sym_float": given.sym_float_values,
            "as_sym_bool": given.sym_bool_values,
        }
        found = tables.get(argument.tag, {}).get(name)
        if found is None:
            raise SchemaError(f"the graph does not describe {name!r}, a value of kind {argument.tag}.")
        return read_tensor_meta(found) if argument.tag == "as_tensor" else read_symbolic(found)

    # --- calls ------------------------------------------------------------------------------

    def _hold(self, argument: schema.GraphArgument) -> str:
        """Store a graph as an attribute, with a node that gets it."""
        self._graphs[argument.name] = read_graph(argument.graph)
        name = self._free(argument.name)
        self._add(name, "get_attr", argument.name)
        self._pending.append(name)
        return name

    def _call(self, node: schema.Node, number: int) -> None:
        metadata = read_metadata(node.metadata)
        self._pending = []
        args, kwargs = _called_with(node, [read_argument(each.arg, self._hold) for each in node.inputs])
        for name in self._pending:
            self._nodes[name]["meta"] = dict(metadata)
        metadata.setdefault("nn_module_stack", {"dict": []})
        single = self._single_result(node)
        name = (node.name if node.name else "") or (_name_of(single) if single else "") or self._name_for(node, number)
        if single is not None:
            name = _name_of(single) or name
            metadata["val"] = self._val(single) if single.tag != "as_none" else None
            self._add(name, "call_function", node.target, args, kwargs, metadata)
            return
        self._add(name, "call_function", node.target, args, kwargs, metadata)
        if node.outputs or node.target.startswith(_HIGHER_ORDER):
            self._yields(name, {"tuple": self._take(name, node, metadata)})

    def _single_result(self, node: schema.Node) -> Argument | None:
        """Return the result, where the node has one and no other node takes it apart."""
        if len(node.outputs) != 1 or node.outputs[0].tag in _LISTS:
            return None
        if node.target.startswith(_HIGHER_ORDER) and node.is_hop_single_tensor_return is False:
            alone = node.outputs[0].tag == "as_none" or _name_of(node.outputs[0]) == node.name  # such as a number
            return node.outputs[0] if alone else None
        return node.outputs[0]

    def _take(self, name: str, node: schema.Node, metadata: Mapping[str, Plain]) -> list[Plain]:
        """Return a node for each result that has a name, and set the values of these nodes."""
        outputs = node.outputs
        if len(outputs) == 1 and outputs[0].tag in _LISTS:
            outputs = [_as_argument(outputs[0].tag, each) for each in outputs[0].value]
        return [self._take_one(name, number, each, metadata) for number, each in enumerate(outputs)]

    def _take_one(self, of: str, number: int, result: Argument, metadata: Mapping[str, Plain]) -> Plain:
        args = [{"node": of}, number]
        if result.tag == "as_none":
            return None
        if result.tag in _LISTS:
            parts = [_as_argument(result.tag, each) for each in result.value]
            if all(_name_of(each) == f"{of}_unused_{number}_{place}" for place, each in enumerate(parts)):
                return [self._val(each) for each in parts]
            name = self._free(f"{of}_{number}", self._named)
            self._add(name, "call_function", GETITEM, args, meta=metadata)
            vals = [self._take_one(name, place, each, metadata) for place, each in enumerate(parts)]
            self._yields(name, vals)
            return vals
        name, val = _name_of(result), self._val(result)
        if name != f"{of}_unused_{number}" or name in self._used:
            self._add(name, "call_function", GETITEM, args, meta={**metadata, "val": val})
        return val

    def _name_for(self, node: schema.Node, number: int) -> str:
        """Return a name for a result; files by older versions name only the results that are used."""
        stem = node.target.removeprefix("torch.ops.").split(".")
        return self._free(stem[1] if len(stem) > 1 else f"node_{number}", self._used)

    def _free(self, stem: str, used: Collection[str] = ()) -> str:
        """Return a name that no node has. Numbers that were tried for a stem are not tried again."""
        name, number = stem, self._numbers.get(stem, 0)
        while name in self._nodes or name in used:
            number += 1
            name = f"{stem}_{number}"
        self._numbers[stem] = number
        return name


def _called_with(node: schema.Node, values: Sequence[Plain]) -> tuple[list[Plain], dict[str, Plain]]:
    positional: list[Plain] = []
    named: dict[str, Plain] = {}
    by_position = _positional_names(node)
    for argument, value in zip(node.inputs, values, strict=True):
        kind = argument.kind
        if (
            kind == schema.ArgumentKind.POSITIONAL
            or (kind != schema.ArgumentKind.KEYWORD and argument.name in by_position)
            or keyword.iskeyword(
                argument.name
            )  # such as ``from``, which Python does not allow as the name of an argument
        ):
            positional.append(value)
        else:
            named[argument.name] = value
    return positional, named


def _positional_names(node: schema.Node) -> set[str]:
    """Return the positional arguments of a node that does not say how its arguments are passed, as in files before 8.3:
    those without a default.
    """
    names = {""}
    if any(each.kind is None or each.kind == schema.ArgumentKind.UNKNOWN for each in node.inputs):
        found = schema_of(node.target)
        if found is not None:
            for each in found.arguments:
                if not each.kwarg_only and not each.has_default_value():
                    names.add(each.name)
        else:
            names |= {each.name for each in node.inputs}
    return names


def _name_of(argument: Argument) -> str:
    """Return the name of a result; empty where it has none."""
    value = argument.value
    if argument.tag in ("as_tensor", "as_custom_obj"):
        return str(value.name)
    if argument.tag in ("as_sym_int", "as_sym_float", "as_sym_bool") and value.tag == "as_name":
        return str(value.value)
    return ""


def _as_argument(tag: str, each: Any) -> Argument:
    """Return an element of a list of results as a result."""
    return Argument(tag.removesuffix("s"), each)


def _names_used(given: schema.Graph) -> Iterator[str]:
    for argument in (*given.outputs, *(each.arg for node in given.nodes for each in node.inputs)):
        yield from _names_in(argument)


def _names_in(argument: Argument) -> Iterator[str]:
    name = _name_of(argument)
    if name:
        yield name
    elif isinstance(argument.value, list):
        for each in argument.value:
            inner = each if isinstance(each, list) else [each]
            yield from (found for part in inner if (found := _element_name(part)))
    elif argument.tag == "as_string_to_argument":
        for each in argument.value.values():
            yield from _names_in(each)


def _element_name(part: Any) -> str:
    if isinstance(part, schema.TensorArgument):
        return part.name
    if getattr(part, "tag", "") == "as_name":
        return str(part.value)
    return part.value.name if getattr(part, "tag", "") == "as_tensor" else ""
