"""Conversion of node metadata between plain values and the strings of the schema. The supplement holds what a string
loses.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

from pytest_exportcheck.errors import SchemaError
from pytest_exportcheck.reference.pt2.convert.unrepresentable import Unrepresentable
from pytest_exportcheck.reference.pt2.plain.kind import Plain
from pytest_exportcheck.reference.pt2.plain.names import is_packet_name
from pytest_exportcheck.reference.pt2.plain.values import number_of, plain

_BETWEEN = ";"
_BRACKETS = re.compile(r"[][()]")
_LONGEST = 1000  # characters of a name that is looked up


def write_metadata(meta: Mapping[str, Plain]) -> dict[str, str]:
    """Return the strings, for the keys that have one. A value of an unusual form has none, and neither has a value that
    a reader could not parse, such as a name with the signs that separate names.
    """
    written = {}
    for key, (write, read) in _KEYS.items():
        if key in meta and (key == "from_node" or not _is_empty(meta[key])):
            try:
                text = write(meta[key])
                read(text)
            except (Unrepresentable, KeyError, TypeError, ValueError):
                continue
            written[key] = text
    return written


def read_metadata(strings: Mapping[str, str]) -> dict[str, Plain]:
    """Return the plain values.

    Raises
    ------
    SchemaError
        For a string that does not have its form.
    """
    return {key: _read_key(key, strings[key]) for key in _KEYS if strings.get(key)}


def _read_key(key: str, text: str) -> Plain:
    try:
        return _KEYS[key][1](text)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise SchemaError(f"metadata {key!r} has an unexpected form ({error}): {text[:100]!r}.") from None


def _is_empty(value: Plain) -> bool:
    return not value or (isinstance(value, dict) and not next(iter(value.values())))


def _text(value: Plain) -> str:
    if not isinstance(value, str):
        raise Unrepresentable(type(value).__name__)
    return value


def _write_stack(value: Plain) -> str:
    pairs = value["dict"] if "dict" in value else value["odict"]
    return _BETWEEN.join(",".join(_text(part) for part in (key, *entry["tuple"])) for key, entry in pairs)


def _read_stack(text: str) -> Plain:
    parts = [_outside_brackets(entry) for entry in text.split(_BETWEEN)]
    return {"dict": [[key, {"tuple": [path, kind]}] for key, path, kind in parts]}


def _outside_brackets(text: str) -> list[str]:
    """Split at commas outside of brackets: types may have parameters."""
    return _split_by_depth(text) if _BRACKETS.search(text) else text.split(",")


def _split_by_depth(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for place, sign in enumerate(text):
        depth += (sign in "[(") - (sign in ")]")
        if sign == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]


def _write_functions(value: Plain) -> str:
    return _BETWEEN.join(f"{_text(name)},{_function_name(function)}" for name, function in _tuples(value))


def _tuples(value: Plain) -> list[list[Plain]]:
    return [entry["tuple"] for entry in value]


def _function_name(function: Plain) -> str:
    if isinstance(function, dict) and "global" in function:
        return str(function["global"]).replace(":", ".")
    return str(function["target"]) if isinstance(function, dict) else _text(function)


def _read_functions(text: str) -> Plain:
    pairs = [entry.split(",") for entry in text.split(_BETWEEN)]
    return [{"tuple": [name, _function(function)]} for name, function in pairs]


def _function(name: str) -> Plain:
    """Return the name of an operator or of a function in an imported module, or else the plain text."""
    if name.startswith("torch.ops."):
        return {"global" if is_packet_name(name) else "target": name}
    module = name
    while "." in module and len(name) < _LONGEST:
        module = module.rpartition(".")[0]
        if module in sys.modules:
            return {"global": f"{module}:{name[len(module) + 1 :]}"}
    return name


def _write_from_node(value: Plain) -> str:
    return json.dumps([each["node_source"] for each in value]) if value is not None else "null"


def _read_from_node(text: str) -> Plain:
    sources = json.loads(text)
    return None if sources is None else [{"node_source": each} for each in sources]


def _write_custom(value: Plain) -> str:
    return json.dumps(_jsonable(value))


def _jsonable(value: Plain) -> Any:
    """Return the value as :mod:`json` would write it: tuples as lists, keys as strings."""
    value = number_of(value)
    if isinstance(value, list):
        return [_jsonable(each) for each in value]
    if not isinstance(value, dict):
        return value
    tag, content = next(iter(value.items()))
    if tag in ("dict", "odict"):
        return {_key(key): _jsonable(each) for key, each in content}
    if tag == "tuple":
        return [_jsonable(each) for each in content]
    raise Unrepresentable(tag)


def _key(key: Plain) -> Any:
    if isinstance(key, (dict, list)):
        raise Unrepresentable("a key")
    return key


def _read_custom(text: str) -> Plain:
    return _of_json(json.loads(text))


def _of_json(value: Any) -> Plain:
    if isinstance(value, dict):
        return {"dict": [[key, _of_json(each)] for key, each in value.items()]}
    if isinstance(value, list):
        return [_of_json(each) for each in value]
    return plain(value)


_KEYS: Mapping[str, tuple[Callable[[Plain], str], Callable[[str], Plain]]] = {
    "stack_trace": (_text, lambda text: text),
    "nn_module_stack": (_write_stack, _read_stack),
    "source_fn_stack": (_write_functions, _read_functions),
    "torch_fn": (
        lambda value: _BETWEEN.join(_text(each) for each in value["tuple"]),
        lambda text: {"tuple": text.split(_BETWEEN)},
    ),
    "custom": (_write_custom, _read_custom),
    "from_node": (_write_from_node, _read_from_node),
}


def write_graph_metadata(meta: Mapping[str, Plain]) -> dict[str, str]:
    """Return the strings for the metadata of a whole program: the user's annotations."""
    try:
        return {} if _is_empty(meta.get("custom")) else {"custom": _write_custom(meta["custom"])}
    except (Unrepresentable, TypeError, ValueError):
        return {}


def read_graph_metadata(strings: Mapping[str, str]) -> dict[str, Plain]:
    """Return the plain metadata of a whole program."""
    return {"custom": _read_key("custom", strings["custom"])} if strings.get("custom") else {}
