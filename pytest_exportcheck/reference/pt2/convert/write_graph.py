"""The writer of graphs: plain graphs to structures of the schema, in which an operator's results are named at the
operator, not taken from it by ``getitem`` nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from pytest_exportcheck.reference.pt2 import schema
from pytest_exportcheck.reference.pt2.convert.arguments import Argument, Scope, kind_of, write_argument
from pytest_exportcheck.reference.pt2.convert.metadata import write_metadata
from pytest_exportcheck.reference.pt2.convert.numbers import (
    write_sym_bool,
    write_sym_float,
    write_sym_int,
    write_tensor_meta,
)
from pytest_exportcheck.reference.pt2.convert.unrepresentable import MARK, Unrepresentable
from pytest_exportcheck.reference.pt2.plain.kind import Plain
from pytest_exportcheck.reference.pt2.plain.names import schema_of
from pytest_exportcheck.reference.pt2.plain.values import number_of

GETITEM = "_operator.getitem"


def write_graph(given: Mapping[str, Plain]) -> schema.Graph:
    """Return the structure. A node that has no form in the schema gets a name that no loader resolves."""
    return _Writer(given).graph()


class _Writer:
    """A writer of one graph, which collects what the nodes yield."""

    def __init__(self, given: Mapping[str, Plain]) -> None:
        self._given = given
        self._nodes: Mapping[str, Any] = given["nodes"]
        self._vals = {name: node["meta"].get("val") for name, node in self._nodes.items()}
        self._taken, repeated = _results(self._nodes, self._vals)
        graphs = {name for name, node in self._nodes.items() if node["op"] == "get_attr"}
        self._scope = Scope(self._vals, graphs, self._graph_argument, repeated)
        self._tensors: dict[str, schema.TensorMeta] = {}
        self._numbers: dict[str, dict[str, Any]] = {"sym_int": {}, "sym_float": {}, "sym_bool": {}}
        self._objects: dict[str, schema.CustomObjArgument] = {}

    def graph(self) -> schema.Graph:
        order = self._given["order"]
        inputs = [self._input(name) for name in order if self._nodes[name]["op"] == "placeholder"]
        nodes = [self._call(name) for name in order if self._is_written(name)]
        returned = next(self._nodes[name]["args"][0] for name in order if self._nodes[name]["op"] == "output")
        single = isinstance(returned, dict) and "node" in returned
        results = [returned] if single else returned["tuple"] if isinstance(returned, dict) else returned
        return schema.Graph(
            inputs=inputs,
            outputs=[self._output(each) for each in results],
            nodes=nodes,
            tensor_values=self._tensors,
            sym_int_values=self._numbers["sym_int"],
            sym_bool_values=self._numbers["sym_bool"],
            is_single_tensor_return=single,
            custom_obj_values=self._objects,
            sym_float_values=self._numbers["sym_float"],
        )

    def _is_written(self, name: str) -> bool:
        node = self._nodes[name]
        return node["op"] == "call_function" and not _takes_a_result(node, self._vals)

    def _graph_argument(self, name: str) -> schema.GraphArgument:
        attribute = self._nodes[name]["target"]
        return schema.GraphArgument(name=attribute, graph=write_graph(self._given["graphs"][attribute]))

    def _output(self, value: Plain) -> Argument:
        try:
            return write_argument(value, self._scope)
        except Unrepresentable:
            return Argument("as_operator", MARK)

    # --- what nodes yield -------------------------------------------------------------------

    def _input(self, name: str) -> Argument:
        val = self._vals[name]
        try:
            if not isinstance(number_of(val), dict):
                return write_argument(val, self._scope)
            return self._result(name, val)
        except Unrepresentable:
            return Argument("as_operator", MARK)

    def _result(self, name: str, val: Plain) -> Argument:
        """Return a result by its name, and store its metadata."""
        kind = kind_of(val)
        if val is None:
            return Argument("as_none", True)
        if kind == "tensor":
            return Argument("as_tensor", self._tensor(name, val))
        if kind == "sym_bool":
            self._numbers[kind][name] = write_sym_bool(val)
            return Argument("as_sym_bool", schema.SymBoolArgument("as_name", name))
        if kind == "sym_int":
            self._numbers[kind][name] = write_sym_int(val)
            return Argument("as_sym_int", schema.SymIntArgument("as_name", name))
        if kind == "sym_float":
            self._numbers[kind][name] = write_sym_float(val)
            return Argument("as_sym_float", schema.SymFloatArgument("as_name", name))
        if kind == "custom_object":
            found = schema.CustomObjArgument(name=name, class_fqn=val["custom_object"][1])
            self._objects[name] = found
            return Argument("as_custom_obj", found)
        raise Unrepresentable(f"a result of kind {kind}")

    def _tensor(self, name: str, val: Plain) -> schema.TensorArgument:
        if kind_of(val) != "tensor":
            raise Unrepresentable(f"{kind_of(val)} for a tensor")
        self._tensors[name] = write_tensor_meta(val["tensor"])
        return schema.TensorArgument(name=name)

    def _results_of(self, name: str, node: Mapping[str, Plain]) -> list[Argument]:
        val, target = self._vals[name], node["target"]
        several = _several(val)
        if several is None:
            returns = _returns(target)
            return [] if returns is not None and not returns else [self._result(name, val)]
        if _returns_one_list(target) or isinstance(several, dict):
            keys = several if isinstance(several, dict) else range(len(several))
            return [Argument("as_tensors", [self._tensor(self._taker(name, key), several[key]) for key in keys])]
        return [self._one_of(name, number, each) for number, each in enumerate(several)]

    def _one_of(self, name: str, number: int, val: Plain) -> Argument:
        inner = _several(val)
        taker = self._taken.get(name, {}).get(number)
        if inner is None:
            return self._result(taker or f"{name}_unused_{number}", val)
        names = [
            self._taker(taker, place) if taker else f"{name}_unused_{number}_{place}" for place in range(len(inner))
        ]
        return Argument("as_tensors", [self._tensor(each, inner[place]) for place, each in enumerate(names)])

    def _taker(self, name: str, key: Any) -> str:
        """Return the name of the node that takes one result of a node, or a name that is not used."""
        return self._taken.get(name, {}).get(key) or f"{name}_unused_{key}"

    # --- calls ------------------------------------------------------------------------------

    def _call(self, name: str) -> schema.Node:
        node = self._nodes[name]
        metadata = write_metadata(node["meta"])
        try:
            inputs = _inputs(node, self._scope)
            return schema.Node(
                target=node["target"],
                inputs=inputs,
                outputs=self._results_of(name, node),
                metadata=metadata,
                is_hop_single_tensor_return=self._is_single(name, node),
                name=name,
            )
        except Unrepresentable:
            return schema.Node(target=MARK, inputs=[], outputs=[], metadata=metadata, name=name)

    def _is_single(self, name: str, node: Mapping[str, Plain]) -> bool | None:
        if not node["target"].startswith("torch.ops.higher_order."):
            return None
        return kind_of(self._vals[name]) == "tensor"


def _several(val: Plain) -> Any:
    """Return the results of a node that yields more than one value, a list or a mapping; else None."""
    if isinstance(val, list):
        return val
    if isinstance(val, dict):
        tag, content = next(iter(val.items()))
        if tag == "dict":
            return dict(content)
        return content if tag == "tuple" else content[1] if tag in ("namedtuple", "return_type") else None
    return None


def _takes_a_result(node: Mapping[str, Plain], vals: Mapping[str, Plain]) -> bool:
    """Return whether the node only takes one of several results of another."""
    if node["target"] != GETITEM or len(node["args"]) != 2:
        return False
    of = node["args"][0]
    return isinstance(of, dict) and "node" in of and _several(vals.get(of["node"])) is not None


def _results(nodes: Mapping[str, Any], vals: Mapping[str, Plain]) -> tuple[dict[str, dict[Any, str]], dict[str, str]]:
    """Map each node to its taken results (key of the result -> the first node that takes it), and each node that takes
    a result again to the first one.
    """
    taken: dict[str, dict[Any, str]] = {}
    repeated: dict[str, str] = {}
    for name, node in nodes.items():
        if node["op"] == "call_function" and _takes_a_result(node, vals):
            of, key = node["args"]
            if isinstance(key, (int, str)):
                first = taken.setdefault(of["node"], {}).setdefault(key, name)
                if first != name:
                    repeated[name] = first
    return taken, repeated


def _returns(target: str) -> Any:
    """Return the return types in an operator's schema; None where there is no schema."""
    found = schema_of(target)
    return None if found is None else found.returns


def _returns_one_list(target: str) -> bool:
    returns = _returns(target)
    return returns is not None and len(returns) == 1 and isinstance(returns[0].real_type, torch.ListType)


def _inputs(node: Mapping[str, Plain], scope: Scope) -> list[schema.NamedArgument]:
    found = schema_of(node["target"])
    if found is not None:
        return _by_schema(found.arguments, node, scope)
    positional = schema.ArgumentKind.POSITIONAL
    names = _parameters(node["target"], len(node["args"]))
    named = [
        schema.NamedArgument(name=name, arg=write_argument(each, scope), kind=positional)
        for name, each in zip(names, node["args"], strict=True)
    ]
    return named + [
        schema.NamedArgument(name=name, arg=write_argument(each, scope), kind=schema.ArgumentKind.KEYWORD)
        for name, each in node["kwargs"].items()
    ]


#: Names of the arguments of the functions of symbolic numbers, for files that name them.
_PARAMETERS = {"_operator": ("a", "b"), "math": ("x",), "torch": ("a", "b")}
_ONE = {"_operator.neg": ("a",), "_operator.pos": ("a",), "torch.sym_ite": ("b", "t", "f")}


def _parameters(target: str, number: int) -> list[str]:
    names = _ONE.get(target) or _PARAMETERS.get(target.rpartition(".")[0], ())
    return [names[place] if place < len(names) else "" for place in range(number)]


def _by_schema(arguments: Any, node: Mapping[str, Plain], scope: Scope) -> list[schema.NamedArgument]:
    written = []
    for place, argument in enumerate(arguments):
        if argument.name in node["kwargs"]:
            value, kind = node["kwargs"][argument.name], schema.ArgumentKind.KEYWORD
        elif not argument.kwarg_only and place < len(node["args"]):
            value, kind = node["args"][place], schema.ArgumentKind.POSITIONAL
        else:
            continue
        arg = write_argument(value, scope, _empty_list(argument.type))
        written.append(schema.NamedArgument(name=argument.name, arg=arg, kind=kind))
    return written


def _empty_list(kind: Any) -> str:
    """Return the tag of an empty list where the operator takes this type."""
    while isinstance(kind, torch.OptionalType):
        kind = kind.getElementType()
    element = kind.getElementType() if isinstance(kind, torch.ListType) else None
    if isinstance(element, torch.OptionalType):
        element = element.getElementType()
    if isinstance(element, torch.ListType):
        inner = element.getElementType()
        return "as_float_lists" if isinstance(inner, torch.FloatType) else "as_int_lists"
    table = (
        (torch.BoolType, "as_bools"),
        (torch.IntType, "as_ints"),
        (torch.FloatType, "as_floats"),
        (torch.StringType, "as_strings"),
    )
    return next((tag for each, tag in table if isinstance(element, each)), "as_tensors")
