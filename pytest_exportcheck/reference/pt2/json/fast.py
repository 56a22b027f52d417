"""The fast conversion between JSON and the structures: msgspec handles the records, and this module the unions and
floats.
"""

from __future__ import annotations

import json
import math
import re
import typing
from collections.abc import Callable
from enum import IntEnum
from functools import cache, lru_cache, partial
from typing import Any

import msgspec

from pytest_exportcheck.errors import SchemaError
from pytest_exportcheck.reference.pt2.json.conform import NOT_FINITE
from pytest_exportcheck.reference.pt2.schema import ComplexValue, Record, Tagged
from pytest_exportcheck.reference.pt2.schema.base import set_tag, set_value

_NOT_ASCII = re.compile("[^\x00-\x7e]+")


def read_tagged(kind: Any, data: Any) -> Tagged:
    """Return a union from its JSON.

    Raises
    ------
    ValueError
        For JSON that is not a union. The error has no details: the careful reader finds the fault again.
    """
    if type(data) is not dict or len(data) != 1:
        raise ValueError
    ((tag, value),) = data.items()
    if type(value) is int and tag == "as_int":
        return _of_int(kind, value)
    made: Tagged = object.__new__(kind)
    set_value(made, _readers(kind)[tag](value))
    set_tag(made, tag)
    return made


@lru_cache(maxsize=4096)
def _of_int(kind: Any, value: int) -> Tagged:
    """Return the union of an integer. Sizes and strides are many, and their numbers few: one frozen union serves
    wherever a number recurs.
    """
    if "as_int" not in kind.tags():
        raise ValueError
    made: Tagged = kind("as_int", value)
    return made


class _Readers(dict[str, Callable[[Any], object]]):
    def __missing__(self, tag: str) -> Callable[[Any], object]:
        raise ValueError


@cache
def _readers(kind: Any) -> _Readers:
    return _Readers({tag: _reader(member) for tag, member in kind.tags().items()})


def _reader(kind: Any) -> Callable[[Any], object]:
    if typing.get_origin(kind) is None and issubclass(kind, Tagged):
        return partial(read_tagged, kind)
    if kind in (int, str, bool):
        return partial(_exact, kind)
    if kind is float:
        return _read_float
    if typing.get_origin(kind) is None and issubclass(kind, IntEnum):
        return lambda value: kind(_exact(int, value))
    return partial(msgspec.convert, type=kind, dec_hook=read_tagged)


def _exact(kind: type, value: object) -> Any:
    if type(value) is not kind:
        raise ValueError
    return value


def _read_float(value: object) -> float:
    if type(value) is str:
        return NOT_FINITE[value] if value in NOT_FINITE else _exact(float, value)
    return float(value) if type(value) is int else _exact(float, value)


def write_quickly(record: Record) -> bytes:
    """Return the JSON of a record, as Python's ``json`` would write it.

    Raises
    ------
    SchemaError
        For a value that the schema does not know.
    UnicodeEncodeError
        For a text with a lone surrogate.
    """
    written = msgspec.json.format(msgspec.json.encode(record, enc_hook=_written_tagged), indent=0)
    if written.isascii() and b"\x7f" not in written:
        return written
    return _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], written.decode()).encode()


def write_tagged(value: object) -> dict[str, object]:
    """Return a union as an object of one key.

    Raises
    ------
    SchemaError
        For a value that is not a union.
    """
    if isinstance(value, Tagged):
        return {value.tag: value.value}
    raise SchemaError(f"{type(value).__qualname__} cannot be written: it is not a type of the schema.")


def _written_tagged(value: object) -> dict[str, object]:
    written = write_tagged(value)
    union: Any = type(value)
    ((tag, content),) = written.items()
    return {tag: _with_floats_spelled(content)} if tag in _floating(union) else written


@cache
def _floating(union: Any) -> frozenset[str]:
    return frozenset(tag for tag, kind in union.tags().items() if _has_floats(kind))


def _has_floats(kind: Any) -> bool:
    return kind in (float, ComplexValue) or any(
        _has_floats(inner) for inner in typing.get_args(kind) if inner is not Any
    )


def _with_floats_spelled(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_floats_spelled(each) for each in value]
    if isinstance(value, ComplexValue):
        return {"real": _with_floats_spelled(value.real), "imag": _with_floats_spelled(value.imag)}
    return msgspec.Raw(json.dumps(spelled(value)).encode())


def spelled(value: float) -> float | str:
    """Return a float as torch writes it: itself, or a text where JSON has no number for it."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else next(name for name, number in NOT_FINITE.items() if number == value)
