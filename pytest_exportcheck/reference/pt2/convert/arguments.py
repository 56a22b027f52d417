"""Conversion of arguments of nodes between plain values and the ``Argument`` union of the schema."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_exportcheck.errors import SchemaError
from pytest_exportcheck.reference.pt2 import schema
from pytest_exportcheck.reference.pt2.convert.dtypes import (
    read_dtype,
    read_layout,
    read_memory_format,
    write_dtype,
    write_layout,
    write_memory_format,
)
from pytest_exportcheck.reference.pt2.convert.numbers import read_device, write_device
from pytest_exportcheck.reference.pt2.convert.unrepresentable import Unrepresentable
from pytest_exportcheck.reference.pt2.plain.kind import Plain
from pytest_exportcheck.reference.pt2.plain.values import number_of, plain

Argument = schema.Argument


@dataclass(frozen=True, eq=False)
class Scope:
    """The part of the graph that writing an argument needs: ``vals`` is name -> what the node yields, ``graphs`` are
    the names of ``get_attr`` nodes, ``graph`` makes the argument that holds the graph of one, ``same`` is name of a
    repeated ``getitem`` -> the first one.
    """

    vals: Mapping[str, Plain] = field(default_factory=dict)
    graphs: Collection[str] = ()
    graph: Callable[[str], schema.GraphArgument] | None = None
    same: Mapping[str, str] = field(default_factory=dict)


def kind_of(val: Plain) -> str:
    """Return the kind of a node's value: a tensor, a symbolic or plain number, an object, or another."""
    if isinstance(val, dict):
        return str(next(iter(val)))
    return {bool: "sym_bool", int: "sym_int", float: "sym_float"}.get(type(val), type(val).__name__)


# --- writing ------------------------------------------------------------------------------------


def write_argument(value: Plain, scope: Scope, empty: str = "as_tensors") -> Argument:
    """Return the argument. ``empty`` is the tag of an empty list.

    Raises
    ------
    Unrepresentable
        When the schema has no form for the value.
    """
    value = number_of(value)
    if value is None:
        return Argument("as_none", True)
    if isinstance(value, list):
        return _list(value, scope, empty)
    if isinstance(value, dict):
        tag, content = next(iter(value.items()))
        if tag not in _WRITERS:
            raise Unrepresentable(f"a value tagged {tag}")
        return _WRITERS[tag](content, scope, empty)
    return Argument({bool: "as_bool", int: "as_int", float: "as_float", str: "as_string"}[type(value)], value)


def _node(name: str, scope: Scope, _: str) -> Argument:
    if name in scope.graphs and scope.graph:
        return Argument("as_graph", scope.graph(name))
    val: Any = scope.vals.get(name)
    kind = kind_of(val)
    if kind in _SYMBOLIC:
        tag, argument, _ = _SYMBOLIC[kind]
        return Argument(tag, argument("as_name", name))
    if kind == "custom_object":
        return Argument("as_custom_obj", schema.CustomObjArgument(name=name, class_fqn=val["custom_object"][1]))
    return Argument("as_tensor", _tensor(name, scope))


def _tensor(name: str, scope: Scope) -> schema.TensorArgument:
    return schema.TensorArgument(name=scope.same.get(name, name))


def _mapping(pairs: Any, scope: Scope, _: str) -> Argument:
    if not all(isinstance(key, str) for key, _ in pairs):
        raise Unrepresentable("a mapping with keys that are not strings")
    return Argument("as_string_to_argument", {key: write_argument(value, scope) for key, value in pairs})


def _complex(parts: Any) -> schema.ComplexValue:
    real, imag = map(number_of, parts)
    return schema.ComplexValue(real=real, imag=imag)


_WRITERS: Mapping[str, Callable[[Any, Scope, str], Argument]] = {
    "node": _node,
    "tuple": lambda content, scope, empty: _list(content, scope, empty),
    "size": lambda content, scope, empty: _list(content, scope, empty),
    "dict": _mapping,
    "complex": lambda content, *_: Argument("as_complex", _complex(content)),
    "dtype": lambda content, *_: Argument("as_scalar_type", write_dtype(content)),
    "layout": lambda content, *_: Argument("as_layout", write_layout(content)),
    "memory_format": lambda content, *_: Argument("as_memory_format", write_memory_format(content)),
    "device": lambda content, *_: Argument("as_device", write_device(content)),
    "target": lambda content, *_: Argument("as_operator", content),
    "custom_object": lambda content, *_: Argument(
        "as_custom_obj", schema.CustomObjArgument(name=content[0], class_fqn=content[1])
    ),
}
#: Kind of a node's value -> the tag of one, what holds its name, and the tag of a list.
_SYMBOLIC: Mapping[str, tuple[str, Any, str]] = {
    "sym_int": ("as_sym_int", schema.SymIntArgument, "as_sym_ints"),
    "sym_float": ("as_sym_float", schema.SymFloatArgument, "as_sym_floats"),
    "sym_bool": ("as_sym_bool", schema.SymBoolArgument, "as_sym_bools"),
}


def _list(values: Sequence[Plain], scope: Scope, empty: str) -> Argument:
    """Return the first kind of list that all elements fit."""
    if not values:
        return Argument(empty, [])
    for kind in _LISTS:
        if all(kind.fits(value, scope) for value in values):
            return Argument(kind.tag, [kind.write(value, scope) for value in values])
    raise Unrepresentable("a list with elements of several kinds")


@dataclass(frozen=True, eq=False)
class _ListKind:
    tag: str
    fits: Callable[[Plain, Scope], bool]
    write: Callable[[Plain, Scope], Any] = lambda value, _: value


def _is_node(value: Plain, scope: Scope) -> bool:
    return isinstance(value, dict) and "node" in value and value["node"] not in scope.graphs


def _of_type(kind: type) -> Callable[[Plain, Scope], bool]:
    return lambda value, _: type(number_of(value)) is kind


def _symbolic_list(kind: str, number: type) -> _ListKind:
    _, argument, tag = _SYMBOLIC[kind]
    own = {"sym_int": "as_int", "sym_float": "as_float", "sym_bool": "as_bool"}[kind]

    def fits(value: Plain, scope: Scope) -> bool:
        return type(value) is number or (_is_node(value, scope) and kind_of(scope.vals.get(value["node"])) == kind)

    def write(value: Plain, _: Scope) -> Any:
        return argument("as_name", value["node"]) if isinstance(value, dict) else argument(own, value)

    return _ListKind(tag, fits, write)


def _elements(value: Plain) -> list[Plain] | None:
    if isinstance(value, dict):
        value = value.get("tuple", value.get("size"))
    return value if isinstance(value, list) else None


def _inner(kind: type) -> Callable[[Plain, Scope], bool]:
    def fits(value: Plain, _: Scope) -> bool:
        inner = _elements(value)
        return inner is not None and all(type(number_of(each)) is kind for each in inner)

    return fits


def _nested(value: Plain, scope: Scope) -> bool:
    inner = _elements(value)
    return inner is not None and all(_is_node(each, scope) for each in inner)


def _optional(value: Plain, scope: Scope) -> schema.OptionalTensorArgument:
    if value is None:
        return schema.OptionalTensorArgument("as_none", True)
    return schema.OptionalTensorArgument("as_tensor", _tensor(value["node"], scope))


_LISTS = (
    _ListKind("as_bools", _of_type(bool)),
    _ListKind("as_ints", _of_type(int), lambda value, _: number_of(value)),
    _ListKind("as_floats", _of_type(float), lambda value, _: number_of(value)),
    _ListKind("as_strings", _of_type(str)),
    _symbolic_list("sym_int", int),
    _symbolic_list("sym_float", float),
    _symbolic_list("sym_bool", bool),
    _ListKind("as_tensors", _is_node, lambda value, scope: _tensor(value["node"], scope)),
    _ListKind(
        "as_nested_tensors", _nested, lambda v, scope: [_tensor(each["node"], scope) for each in _elements(v) or ()]
    ),
    _ListKind("as_optional_tensors", lambda value, scope: value is None or _is_node(value, scope), _optional),
    _ListKind("as_int_lists", _inner(int), lambda value, _: [number_of(each) for each in _elements(value) or ()]),
    _ListKind("as_float_lists", _inner(float), lambda value, _: [number_of(each) for each in _elements(value) or ()]),
)

# --- reading ------------------------------------------------------------------------------------


def read_argument(argument: Argument, graphs: Callable[[schema.GraphArgument], str]) -> Plain:
    """Return the plain value. ``graphs`` stores a graph and returns the name of the node that gets it."""
    if argument.tag == "as_graph":
        return _ref(graphs(argument.value))
    if argument.tag == "as_string_to_argument":
        return {"dict": [[key, read_argument(value, graphs)] for key, value in argument.value.items()]}
    if argument.tag not in _READERS:
        raise SchemaError(f"an argument of kind {argument.tag} is not known to this reader.")
    return _READERS[argument.tag](argument.value)


def _ref(name: str) -> Plain:
    return {"node": name}


def _symbolic_argument(value: Any) -> Plain:
    return _ref(value.value) if value.tag == "as_name" else plain(value.value)


def _tensor_names(values: Sequence[schema.TensorArgument]) -> list[Plain]:
    return [_ref(each.name) for each in values]


_READERS: Mapping[str, Callable[[Any], Plain]] = {
    "as_none": lambda _: None,
    "as_tensor": lambda value: _ref(value.name),
    "as_tensors": _tensor_names,
    "as_nested_tensors": lambda value: [_tensor_names(each) for each in value],
    "as_optional_tensor": lambda value: _ref(value.value.name) if value.tag == "as_tensor" else None,
    "as_optional_tensors": lambda value: [_ref(each.value.name) if each.tag == "as_tensor" else None for each in value],
    "as_int": plain,
    "as_ints": plain,
    "as_int_lists": lambda value: [{"tuple": plain(inner)} for inner in value],
    "as_float": plain,
    "as_floats": plain,
    "as_float_lists": plain,
    "as_string": lambda value: value,
    "as_strings": list,
    "as_bool": lambda value: value,
    "as_bools": list,
    "as_complex": lambda value: {"complex": plain([value.real, value.imag])},
    "as_sym_int": _symbolic_argument,
    "as_sym_float": _symbolic_argument,
    "as_sym_bool": _symbolic_argument,
    "as_sym_ints": lambda value: [_symbolic_argument(each) for each in value],
    "as_sym_floats": lambda value: [_symbolic_argument(each) for each in value],
    "as_sym_bools": lambda value: [_symbolic_argument(each) for each in value],
    "as_scalar_type": lambda value: {"dtype": read_dtype(value)},
    "as_memory_format": lambda value: {"memory_format": read_memory_format(value)},
    "as_layout": lambda value: {"layout": read_layout(value)},
    "as_device": lambda value: {"device": read_device(value)},
    "as_operator": lambda value: {"target": value},
    "as_custom_obj": lambda value: _ref(value.name),
}
