"""Values of a program that was read as plain data, as the records hold them.

The records of a program and those of the plain program are alike, so that the checks can compare two files without
building either program.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from pytest_exportcheck.describe.freeze import PRESENCE_ONLY
from pytest_exportcheck.describe.symbols import Symbols
from pytest_exportcheck.errors import SchemaError
from pytest_exportcheck.records import GraphRef, NodeRef, TensorValue
from pytest_exportcheck.records import Plain as Opaque
from pytest_exportcheck.reference.pt2.expressions import SymbolTable, check_extent, parse


class PlainValues:
    """The converter of the plain values of one program. ``graphs`` maps the names of subgraphs, in the graph whose
    nodes are being converted, to nothing: an argument that names one is a subgraph.
    """

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._table = SymbolTable()

    def expression(self, text: str) -> Any:
        """Parse the text of an expression by the grammar."""
        parsed = parse(text, self._table)
        check_extent(parsed)
        return parsed

    def size(self, text: str) -> Any:
        """Return an expression as a size under the names of the inputs."""
        return self._symbols.size(self.expression(text))

    def frozen(self, value: Any, place: str = "", graphs: Mapping[str, Any] | Sequence[str] = ()) -> Any:
        """Return a plain value as a record holds it. ``place`` is the argument that it is in."""
        if isinstance(value, list):
            return tuple(self.frozen(each, place, graphs) for each in value)
        if isinstance(value, float):
            return Opaque("float", repr(value))
        if not isinstance(value, dict):
            return value
        tag, content = tagged(value)
        if tag == "node":
            return GraphRef(place) if content in graphs else NodeRef(str(content))
        if tag == "tensor":
            return self.tensor(content)
        if tag in _SYMBOLIC:
            return self.size(content[0])
        if tag in _SEQUENCES:
            return tuple(self.frozen(each, place, graphs) for each in content)
        if tag in _MAPPINGS:
            return tuple((self.frozen(key), self.frozen(each, place, graphs)) for key, each in content)
        return _SIMPLE[tag](content) if tag in _SIMPLE else Opaque(tag, _json(content))

    def tensor(self, facts: Mapping[str, Any]) -> TensorValue:
        """Return the facts of a tensor."""
        strided = "stride" in facts
        return TensorValue(
            shape=self.frozen(facts["shape"]),
            dtype=facts["dtype"],
            device=facts["device"],
            layout=facts.get("layout", "strided"),
            stride=self.frozen(facts["stride"]) if strided else None,
            storage_offset=self.frozen(facts.get("offset", 0)) if strided else 0,
        )

    def metadata(self, meta: Mapping[str, Any]) -> dict[str, Any]:
        """Return the metadata of a node without ``val``, key by key."""
        kept: dict[str, Any] = {}
        for key, value in meta.items():
            if key in PRESENCE_ONLY:
                kept[key] = "present"
            elif key not in _LEFT_OUT and value is not None:
                freeze = _METADATA.get(key)
                found = freeze(value) if freeze else self.frozen(value)
                if not (key == "custom" and not found):
                    kept[key] = found
        return kept


def tagged(value: Mapping[str, Any]) -> tuple[str, Any]:
    """Return the tag and the content of a plain value.

    Raises
    ------
    SchemaError
        Where it has no tag.
    """
    if not value:
        raise SchemaError("expected a plain value with a tag, got an empty mapping. Save the program again.")
    return next(iter(value.items()))


_SYMBOLIC = ("sym_int", "sym_float", "sym_bool")
_SEQUENCES = ("tuple", "size", "set", "frozenset")
_MAPPINGS = ("dict", "odict")
#: Metadata that is not compared: the value, and what a loader derives from it.
_LEFT_OUT = ("val", "unbacked_bindings")


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _named(content: Any) -> Opaque:
    return Opaque("callable", str(content).replace(":", "."))


def _torch(kind: str) -> Callable[[Any], Opaque]:
    return lambda content: Opaque(kind, f"torch.{content}")


_SIMPLE: Mapping[str, Callable[[Any], Any]] = {
    "int": int,
    "float": lambda content: Opaque("float", str(content)),
    "complex": lambda content: Opaque("complex", f"({content[0]}, {content[1]})"),
    "bytes": lambda content: Opaque("bytes", repr(base64.b64decode(content))),
    "dtype": _torch("dtype"),
    "layout": _torch("layout"),
    "memory_format": _torch("memory_format"),
    "device": lambda content: Opaque("device", f"device(type='{content}')"),
    "custom_object": lambda content: Opaque("object", str(content[1])),
    "target": _named,
    "global": _named,
}


# --- metadata -------------------------------------------------------------------------------


def _module_stack(value: Any) -> Any:
    pairs = value.get("dict", value.get("odict")) if isinstance(value, dict) else None
    if pairs is None:
        return _json(value)
    return tuple((str(key), *map(_name, entry["tuple"])) for key, entry in pairs)


def _name(value: Any) -> str:
    """Return a text as it is, and a class or function by its name."""
    if isinstance(value, dict):
        return str(tagged(value)[1]).replace(":", ".")
    return str(value)


def _stack_trace(value: Any) -> Any:
    return re.sub(r"<eval_with_key>\.\d+", "<eval_with_key>", value) if isinstance(value, str) else _json(value)


def _from_node(value: Any) -> Any:
    sources = value if isinstance(value, list) else []
    return tuple(_source(each.get("node_source", each)) for each in sources)


def _source(source: Mapping[str, Any]) -> Any:
    return (
        source.get("name", ""),
        source.get("target", ""),
        source.get("pass_name", ""),
        tuple(filter(None, str(source.get("action") or "").upper().split("+"))),
        tuple(map(_source, source.get("from_node") or ())),
    )


def origin_of(meta: Mapping[str, Any]) -> str:
    """Return the node that ``from_node`` names last."""
    chain, name = [each.get("node_source", each) for each in meta.get("from_node") or ()], ""
    while chain:
        name, chain = chain[-1].get("name", ""), chain[-1].get("from_node") or []
    return str(name)


def _function(value: Any) -> Any:
    return tuple(map(_name, value["tuple"])) if isinstance(value, dict) and "tuple" in value else _json(value)


def _functions(value: Any) -> Any:
    return tuple(map(_function, value)) if isinstance(value, list) else _json(value)


def _custom(value: Any) -> Any:
    """Return the user's annotations, with the types of containers and keys."""
    return _typed(value) if isinstance(value, dict) and "dict" in value else _json(value)


def _typed(value: Any) -> Any:
    """Return a value whose containers keep their types, as the user decides what annotations mean."""
    if isinstance(value, list):
        return [_typed(each) for each in value]
    if not isinstance(value, dict):
        return value
    tag, content = tagged(value)
    if tag == "tuple":
        return tuple(_typed(each) for each in content)
    if tag == "dict":
        return {_key(key): _typed(each) for key, each in content}
    return int(content) if tag == "int" else f"{tag} {content if isinstance(content, str) else _json(content)}"


def _key(key: Any) -> Any:
    return _json(key) if isinstance(key, (list, dict)) else key


_METADATA: Mapping[str, Callable[[Any], Any]] = {
    "nn_module_stack": _module_stack,
    "stack_trace": _stack_trace,
    "from_node": _from_node,
    "source_fn_stack": _functions,
    "torch_fn": _function,
    "custom": _custom,
}
