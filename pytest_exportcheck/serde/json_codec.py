"""Structures of the schema to and from JSON, byte for byte as torch writes it.

torch writes ASCII, ``", "`` and ``": "`` as separators, every field in the order of the schema, ``null`` for what is None,
enumerations as numbers, unions as objects of one key, floats as Python spells them, and those that JSON has no number
for as the strings ``"Infinity"``, ``"-Infinity"`` and ``"NaN"``.
"""

from __future__ import annotations

import json
import math
import typing
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import cache, partial
from typing import Any, TypeVar

import msgspec

from pytest_exportcheck.errors import SchemaError, SchemaWarning
from pytest_exportcheck.serde.json_text import Path, fault, path_text, text_of, too_deep
from pytest_exportcheck.serde.json_walk import NOT_FINITE, Walk
from pytest_exportcheck.serde.schema import SCHEMA_VERSION, ExportedProgram, Record, Tagged
from pytest_exportcheck.serde.schema.base import set_tag, set_value

MAJOR, MINOR = SCHEMA_VERSION
_KNOWN = f"{MAJOR}.{MINOR}"
R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Unknown:
    """The fields of a file that this version's schema does not have: each place in the JSON, and the value there."""

    fields: tuple[tuple[Path, object], ...] = ()

    @property
    def places(self) -> tuple[str, ...]:
        """The places as ``$.graph_module.graph.nodes[12].colour``."""
        return tuple(path_text(path) for path, _ in self.fields)

    def __bool__(self) -> bool:
        return bool(self.fields)


def decode_program(data: bytes, *, where: str) -> tuple[ExportedProgram, Unknown]:
    """Read a program's JSON; ``where`` names the file in messages. Fields that are missing have the schema's defaults.

    A newer minor version is read with a :class:`SchemaWarning` that names the fields that are not known. A tag or a
    member of an enumeration that is not known is an error all the same: what it stands for cannot be understood.

    Raises
    ------
    SchemaError
        Where the JSON is malformed or not what the schema says, with the place; where the major version is another.
    """
    program, unknown = _decode(data, ExportedProgram, where, _remedy)
    _refuse_other_major(program.schema_version.major, program.schema_version.minor, where)
    if program.exportcheck is not None:
        program = msgspec.structs.replace(
            program, exportcheck=program.exportcheck.copy()
        )  # lets go of the file's bytes
    if program.schema_version.minor > MINOR:
        warnings.warn(_newer(program, unknown, where), SchemaWarning, stacklevel=2)
    return program, unknown


def decode(data: bytes, kind: type[R], *, where: str) -> tuple[R, Unknown]:
    """Read any other record of the schema, such as a ``PayloadConfig``.

    Raises
    ------
    SchemaError
        Where the JSON is malformed or not what the schema says, with the place.
    """
    return _decode(data, kind, where, lambda _tree, _where: "")


def _decode(data: bytes, kind: type[R], where: str, remedy: Callable[[object, str], str]) -> tuple[R, Unknown]:
    text = text_of(data, where=where)
    try:
        return msgspec.json.decode(data, type=kind, dec_hook=_read_tagged), Unknown()
    except RecursionError:
        raise too_deep(where) from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass
    try:
        tree = json.loads(text)
        walk = Walk(where, remedy(tree, where))
        conforming = walk.conform(tree, kind)
        return msgspec.convert(conforming, kind, dec_hook=_read_tagged), Unknown(tuple(walk.unknown.items()))
    except RecursionError:
        raise too_deep(where) from None


def _remedy(tree: object, where: str) -> str:
    """What to do about a fault of a program, once its version is known; refuses another major at once."""
    version = tree.get("schema_version") if isinstance(tree, dict) else None
    if not isinstance(version, dict):
        return ""
    major, minor = version.get("major"), version.get("minor")
    if type(major) is not int or type(minor) is not int:
        return ""
    _refuse_other_major(major, minor, where)
    if minor <= MINOR:
        return ""
    return f"The file has schema {major}.{minor}, this reader knows {_KNOWN}: update pytest-exportcheck."


def _refuse_other_major(major: int, minor: int, where: str) -> None:
    if major != MAJOR:
        age = "update pytest-exportcheck" if major > MAJOR else "save the program again with torch 2.5 or later"
        path = ("schema_version", "major")
        raise fault(where, path, f"schema {MAJOR}.x", f"schema {major}.{minor}", f"To read it, {age}.")


def _newer(program: ExportedProgram, unknown: Unknown, where: str) -> str:
    version = f"{program.schema_version.major}.{program.schema_version.minor}"
    met = f"not understood, and kept as they are: {', '.join(unknown.places)}" if unknown else "all fields are known"
    return f"{where}: the file has schema {version}, this reader knows {_KNOWN}; {met}. Update pytest-exportcheck."


def encode_program(program: ExportedProgram, unknown: Unknown | None = None) -> bytes:
    """Write a program's JSON; ``unknown`` fields go back to their places, as far as the program still has those.

    What :func:`decode_program` read from a file of torch, this writes byte for byte as torch did, if torch knew no more
    fields. ``exportcheck`` comes last.

    Raises
    ------
    SchemaError
        Where a value is none that the schema knows.
    """
    supplement = program.exportcheck
    written = encode(msgspec.structs.replace(program, exportcheck=None), unknown)
    return written if supplement is None else b'%b, "exportcheck": %b}' % (written[:-1], bytes(supplement))


def encode(record: Record, unknown: Unknown | None = None) -> bytes:
    """Write any record of the schema.

    Raises
    ------
    SchemaError
        Where a value is none that the schema knows.
    """
    tree = msgspec.to_builtins(record, enc_hook=_written_tagged)
    if isinstance(record, ExportedProgram):
        del tree["exportcheck"]
    for path, value in unknown.fields if unknown else ():
        _put(tree, path, value)
    try:
        return json.dumps(tree, allow_nan=False).encode()
    except ValueError:
        return json.dumps(_spelled(tree), allow_nan=False).encode()


def _written_tagged(value: object) -> dict[str, object]:
    if isinstance(value, Tagged):
        return {value.tag: value.value}
    raise SchemaError(f"{type(value).__qualname__} cannot be written: it is no type of the schema.")


def _put(tree: Any, path: Path, value: object) -> None:
    for step in path[:-1]:
        try:
            tree = tree[step]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(tree, dict):
        tree.setdefault(path[-1], value)


def _spelled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _spelled(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_spelled(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return next(
            name for name, number in NOT_FINITE.items() if number == value or number != number != value != value
        )
    return value


def _read_tagged(kind: Any, data: Any) -> Tagged:
    """A union, quickly. What is wrong is not told apart: the careful walk finds it again."""
    if type(data) is not dict or len(data) != 1:
        raise ValueError
    ((tag, value),) = data.items()
    made: Tagged = object.__new__(kind)
    set_value(made, _readers(kind)[tag](value))
    set_tag(made, tag)
    return made


class _Readers(dict[str, Callable[[Any], object]]):
    def __missing__(self, tag: str) -> Callable[[Any], object]:
        raise ValueError


@cache
def _readers(kind: Any) -> _Readers:
    return _Readers({tag: _reader(member) for tag, member in kind.tags().items()})


def _reader(kind: Any) -> Callable[[Any], object]:
    if typing.get_origin(kind) is None and issubclass(kind, Tagged):
        return partial(_read_tagged, kind)
    if kind in (int, str, bool):
        return partial(_exact, kind)
    if kind is float:
        return _read_float
    if typing.get_origin(kind) is None and issubclass(kind, IntEnum):
        return lambda value: kind(_exact(int, value))
    return partial(msgspec.convert, type=kind, dec_hook=_read_tagged)


def _exact(kind: type, value: object) -> Any:
    if type(value) is not kind:
        raise ValueError
    return value


def _read_float(value: object) -> float:
    if type(value) is str:
        return NOT_FINITE[value] if value in NOT_FINITE else _exact(float, value)
    return float(value) if type(value) is int else _exact(float, value)
