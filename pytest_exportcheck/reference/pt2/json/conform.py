"""The careful check of JSON values against the types of the schema: faults with their places, and unknown fields.

The fast reader (:mod:`.fast`) only says that something is wrong; then this one finds what.
"""

from __future__ import annotations

import json
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import msgspec

from pytest_exportcheck.reference.pt2.json.strict import Path, fault
from pytest_exportcheck.reference.pt2.schema import Tagged, fields

NOT_FINITE: Mapping[str, float] = types.MappingProxyType(
    {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}
)
"""How torch writes the floats that JSON has no number for."""

_SHOWN = 60  # characters


@dataclass(frozen=True)
class Walk:
    """One walk: the file, what to do about a fault, and the unknown fields that were met (filled on the way)."""

    where: str
    remedy: str = ""
    unknown: dict[Path, object] = field(default_factory=dict)

    def conform(self, value: object, kind: Any, path: Path = ()) -> object:
        """Return the value as its type requires: without unknown fields, and floats as floats.

        Raises
        ------
        SchemaError
            For a value of another type, without a required field, or with an unknown member of an enumeration or a
            union.
        """
        return _conformer(kind)(self, value, kind, path)

    def refuse(self, path: Path, expected: str, got: object) -> typing.NoReturn:
        """Raise the error for one place of the file."""
        raise fault(self.where, path, expected, shown(got), self.remedy)


def shown(value: object) -> str:
    """Describe a value in a few words."""
    if isinstance(value, dict):
        return f"an object with {_keys(value)}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} (shortened)"


def _keys(value: dict[str, object]) -> str:
    listed = ", ".join(repr(key) for key in list(value)[:5])
    more = ", ..." if len(value) > 5 else ""
    return f"the keys {listed}{more}" if value else "no key"


def _record(walk: Walk, value: object, kind: Any, path: Path) -> object:
    if not isinstance(value, dict):
        walk.refuse(path, f"an object ({kind.__name__})", value)
    known = fields(kind)
    for name in msgspec.structs.fields(kind):
        if name.required and name.name not in value:
            walk.refuse(path, f"an object ({kind.__name__}) with the key {name.name!r}", value)
    walk.unknown.update({(*path, key): each for key, each in value.items() if key not in known})
    return {key: walk.conform(each, known[key], (*path, key)) for key, each in value.items() if key in known}


def _tagged(walk: Walk, value: object, kind: Any, path: Path) -> object:
    tags = kind.tags()
    if not isinstance(value, dict) or len(value) != 1:
        walk.refuse(path, f"an object ({kind.__name__}) with one key", value)
    ((tag, member),) = value.items()
    if tag not in tags:
        walk.refuse(path, f"an object ({kind.__name__}) with one key of {', '.join(tags)}", value)
    return {tag: walk.conform(member, tags[tag], (*path, tag))}


def _list(walk: Walk, value: object, kind: Any, path: Path) -> object:
    if not isinstance(value, list):
        walk.refuse(path, "a list", value)
    (inner,) = typing.get_args(kind)
    return [walk.conform(each, inner, (*path, place)) for place, each in enumerate(value)]


def _dict(walk: Walk, value: object, kind: Any, path: Path) -> object:
    if not isinstance(value, dict):
        walk.refuse(path, "an object", value)
    _, inner = typing.get_args(kind)
    return {key: walk.conform(each, inner, (*path, key)) for key, each in value.items()}


def _optional(walk: Walk, value: object, kind: Any, path: Path) -> object:
    return None if value is None else walk.conform(value, typing.get_args(kind)[0], path)


def _enum(walk: Walk, value: object, kind: Any, path: Path) -> object:
    if type(value) is not int or value not in list(kind):
        walk.refuse(path, f"the number of a {kind.__name__} ({', '.join(str(int(each)) for each in kind)})", value)
    return value


def _float(walk: Walk, value: object, _kind: Any, path: Path) -> object:
    if isinstance(value, str) and value in NOT_FINITE:
        return NOT_FINITE[value]
    if type(value) not in (int, float):
        walk.refuse(path, "a number", value)
    return value


def _exactly(expected: str) -> Callable[[Walk, object, Any, Path], object]:
    def conform(walk: Walk, value: object, kind: Any, path: Path) -> object:
        if type(value) is not kind:
            walk.refuse(path, expected, value)
        return value

    return conform


def _raw(_walk: Walk, value: object, _kind: Any, _path: Path) -> object:
    return msgspec.Raw(json.dumps(value).encode())


_BY_TYPE: Mapping[Any, Callable[[Walk, object, Any, Path], object]] = types.MappingProxyType(
    {
        str: _exactly("a string"),
        int: _exactly("an integer"),
        bool: _exactly("true or false"),
        float: _float,
        list: _list,
        dict: _dict,
        types.UnionType: _optional,
        typing.Union: _optional,
        msgspec.Raw: _raw,
    }
)
_BY_BASE: Mapping[type, Callable[[Walk, object, Any, Path], object]] = types.MappingProxyType(
    {msgspec.Struct: _record, Tagged: _tagged, IntEnum: _enum}
)


def _conformer(kind: Any) -> Callable[[Walk, object, Any, Path], object]:
    found = _BY_TYPE.get(typing.get_origin(kind) or kind)
    return found or next(conform for base, conform in _BY_BASE.items() if issubclass(kind, base))
