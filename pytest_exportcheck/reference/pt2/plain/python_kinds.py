"""Kinds of Python's own values: numbers, bytes, containers."""

from __future__ import annotations

import base64
import math
import sys
from collections import OrderedDict, defaultdict
from typing import Any

import msgspec
import torch.fx

from pytest_exportcheck.errors import SchemaError, UnsupportedError
from pytest_exportcheck.reference.pt2.plain.kind import Kind, Plain, Read, Reader, Write


def _items(pairs: Any, plain: Write) -> list[Plain]:
    return [[plain(key), plain(value)] for key, value in pairs.items()]


def _elements(values: Any, plain: Write) -> list[Plain]:
    return [plain(each) for each in values]


def _sorted_elements(values: Any, plain: Write) -> list[Plain]:
    return sorted((plain(each) for each in values), key=msgspec.json.encode)


def _pairs(content: Any, reader: Reader, value_of: Read) -> list[tuple[Any, Any]]:
    return [(_key(key, reader, value_of), value_of(value, reader)) for key, value in content]


def _key(given: Plain, reader: Reader, value_of: Read) -> Any:
    """Return a key of a mapping or an element of a set: nothing that defines its own hash, or whose hash the file's
    author can choose.
    """
    if isinstance(given, dict) and not given.keys().isdisjoint(("record", "namedtuple")):
        raise SchemaError(f"{str(given)[:60]!r} cannot be a key of a mapping or an element of a set.")
    key = value_of(given, reader)
    if isinstance(key, int) and abs(key) >= sys.hash_info.modulus:
        raise SchemaError("a whole number of more than 60 bits cannot be a key of a mapping or an element of a set.")
    return key


_FACTORIES = {each.__name__: each for each in (list, dict, set, int, float, str, tuple, bool)}


def _factory_name(factory: Any) -> str | None:
    if factory is None or factory in _FACTORIES.values():
        return getattr(factory, "__name__", None)
    raise UnsupportedError(f"a defaultdict of {factory!r} cannot be saved. Use one of {', '.join(_FACTORIES)}.")


def _factory(name: str | None) -> Any:
    return None if name is None else _FACTORIES[name]


PYTHON_KINDS: tuple[Kind, ...] = (
    Kind("int", lambda value, _: str(value), lambda given, *_: int(given)),
    Kind(
        "float", lambda value, _: str(value), lambda given, *_: math.nan if given == "nan" else float(given)
    ),  # one nan: it equals itself only
    Kind(
        "tuple",
        _elements,
        lambda given, reader, value_of: tuple(value_of(each, reader) for each in given),
        types=(tuple,),
    ),
    Kind(
        "dict",
        _items,
        lambda given, reader, value_of: dict(_pairs(given, reader, value_of)),
        types=(dict, torch.fx.immutable_collections.immutable_dict),
    ),
    Kind(
        "odict",
        _items,
        lambda given, reader, value_of: OrderedDict(_pairs(given, reader, value_of)),
        types=(OrderedDict,),
    ),
    Kind(
        "defaultdict",
        lambda value, plain: [_factory_name(value.default_factory), _items(value, plain)],
        lambda given, reader, value_of: defaultdict(_factory(given[0]), _pairs(given[1], reader, value_of)),
        types=(defaultdict,),
    ),
    Kind(
        "set",
        _sorted_elements,
        lambda given, reader, value_of: {_key(each, reader, value_of) for each in given},
        types=(set,),
    ),
    Kind(
        "frozenset",
        _sorted_elements,
        lambda given, reader, value_of: frozenset(_key(each, reader, value_of) for each in given),
        types=(frozenset,),
    ),
    Kind(
        "complex",
        lambda value, plain: [plain(value.real), plain(value.imag)],
        lambda given, reader, value_of: complex(*(value_of(each, reader) for each in given)),
        types=(complex,),
    ),
    Kind(
        "slice",
        lambda value, plain: [plain(each) for each in (value.start, value.stop, value.step)],
        lambda given, reader, value_of: slice(*(value_of(each, reader) for each in given)),
        types=(slice,),
    ),
    Kind(
        "range", lambda value, _: [value.start, value.stop, value.step], lambda given, *_: range(*given), types=(range,)
    ),
    Kind("ellipsis", lambda *_: True, lambda *_: ..., types=(type(...),)),
    Kind(
        "bytes",
        lambda value, _: base64.b64encode(value).decode(),
        lambda given, *_: base64.b64decode(given),
        types=(bytes,),
    ),
)
