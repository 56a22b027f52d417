"""Conversion of the structures of the schema to and from JSON, byte for byte as torch writes it.

torch writes ASCII, ``", "`` and ``": "`` as separators, every field in the order of the schema, ``null`` for None,
enumerations as numbers, unions as objects of one key, floats as Python spells them, and those that JSON has no number
for as the strings ``"Infinity"``, ``"-Infinity"`` and ``"NaN"``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from pytest_exportcheck.errors import SchemaWarning
from pytest_exportcheck.reference.pt2.json.conform import Walk
from pytest_exportcheck.reference.pt2.json.fast import read_tagged, spelled, write_quickly, write_tagged
from pytest_exportcheck.reference.pt2.json.strict import Path, fault, path_text, text_of, too_deep
from pytest_exportcheck.reference.pt2.schema import SCHEMA_VERSION, ExportedProgram, Record
from pytest_exportcheck.reference.pt2.warn import warn_caller

MAJOR, MINOR = SCHEMA_VERSION
_KNOWN = f"{MAJOR}.{MINOR}"
_NO_SUPPLEMENT = b', "exportcheck": null}'
R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Unknown:
    """The fields of a file that this version's schema does not have: each place in the JSON, and the value there."""

    fields: tuple[tuple[Path, object], ...] = ()

    @property
    def places(self) -> tuple[str, ...]:
        """Return the places as ``$.graph_module.graph.nodes[12].colour``."""
        return tuple(path_text(path) for path, _ in self.fields)

    def __bool__(self) -> bool:
        return bool(self.fields)


def decode_program(data: bytes, *, where: str) -> tuple[ExportedProgram, Unknown]:
    """Read a program's JSON; ``where`` names the file in messages. Missing fields get the schema's defaults.

    A newer minor version is read with a :class:`SchemaWarning` that names the unknown fields. An unknown tag, or an
    unknown member of an enumeration, is an error nevertheless: its meaning is not known.

    Raises
    ------
    SchemaError
        Where the JSON is malformed or does not follow the schema, with the place; where the major version is another.
    """
    program, unknown = _decode(data, ExportedProgram, where, _remedy)
    _refuse_other_major(program.schema_version.major, program.schema_version.minor, where)
    if program.exportcheck is not None:
        program = msgspec.structs.replace(
            program, exportcheck=program.exportcheck.copy()
        )  # releases the bytes of the file
    if program.schema_version.minor > MINOR:
        warn_caller(_newer(program, unknown, where), SchemaWarning)
    return program, unknown


def decode(data: bytes, kind: type[R], *, where: str) -> tuple[R, Unknown]:
    """Read any other record of the schema, such as a ``PayloadConfig``.

    Raises
    ------
    SchemaError
        Where the JSON is malformed or does not follow the schema, with the place.
    """
    return _decode(data, kind, where, lambda _tree, _where: "")


def _decode(data: bytes, kind: type[R], where: str, remedy: Callable[[object, str], str]) -> tuple[R, Unknown]:
    text = text_of(data, where=where)
    try:
        return msgspec.json.decode(data, type=kind, dec_hook=read_tagged), Unknown()
    except RecursionError:
        raise too_deep(where) from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass
    try:
        tree = json.loads(text)
        walk = Walk(where, remedy(tree, where))
        conforming = walk.conform(tree, kind)
        return msgspec.convert(conforming, kind, dec_hook=read_tagged), Unknown(tuple(walk.unknown.items()))
    except RecursionError:
        raise too_deep(where) from None


def _remedy(tree: object, where: str) -> str:
    """Return the advice for a fault of a program, once its version is known; refuse another major version at once."""
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
        versions = f"Serialized schema version {major}.{minor} does not match our current schema version {_KNOWN}."
        remedy = f"{versions} To read it, {age}."
        raise fault(where, path, f"schema {MAJOR}.x", f"schema {major}.{minor}", remedy)


def _newer(program: ExportedProgram, unknown: Unknown, where: str) -> str:
    version = f"{program.schema_version.major}.{program.schema_version.minor}"
    met = f"not understood, and kept as they are: {', '.join(unknown.places)}" if unknown else "all fields are known"
    return f"{where}: the file has schema {version}, this reader knows {_KNOWN}; {met}. Update pytest-exportcheck."


def encode_program(program: ExportedProgram, unknown: Unknown | None = None) -> bytes:
    """Write a program's JSON; ``unknown`` fields go back to their places, as far as the program still has those.

    The result for a program that :func:`decode_program` read from a file of torch equals the JSON of torch byte for
    byte, if that torch has no further fields. ``exportcheck`` comes last.

    Raises
    ------
    SchemaError
        For a value that the schema does not know.
    """
    supplement = program.exportcheck
    bare = _write(msgspec.structs.replace(program, exportcheck=None), unknown).removesuffix(_NO_SUPPLEMENT)
    return bare + (b"}" if supplement is None else b', "exportcheck": %b}' % bytes(supplement))


def encode(record: Record, unknown: Unknown | None = None) -> bytes:
    """Write any record of the schema.

    Raises
    ------
    SchemaError
        For a value that the schema does not know.
    """
    if isinstance(record, ExportedProgram):
        return encode_program(record, unknown)
    return _write(record, unknown)


def _write(record: Any, unknown: Unknown | None) -> bytes:
    if unknown:
        return _write_with(record, unknown)
    try:
        return write_quickly(record)
    except UnicodeEncodeError:  # a lone surrogate, which Python's texts may hold, and torch's JSON
        return _write_with(record, Unknown())


def _write_with(record: Record, unknown: Unknown) -> bytes:
    tree = msgspec.to_builtins(record, enc_hook=write_tagged)
    supplement = tree.pop("exportcheck", None) if isinstance(record, ExportedProgram) else None
    for path, value in unknown.fields:
        _put(tree, path, value)
    if isinstance(record, ExportedProgram):
        tree["exportcheck"] = supplement
    return json.dumps(_spelled(tree), allow_nan=False).encode()


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
    return spelled(value) if isinstance(value, float) else value
