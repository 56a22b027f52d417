"""Differences between an installed torch's schema and this one, in words."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Any

import msgspec

from pytest_exportcheck.reference.pt2 import schema
from pytest_exportcheck.reference.pt2.schema import Node
from pytest_exportcheck.reference.pt2.schema.base import Record, Tagged, fields, type_name

OWN_FIELDS: Mapping[str, frozenset[str]] = types.MappingProxyType({"ExportedProgram": frozenset({"exportcheck"})})
"""Additions of this project to torch's schema."""

VERSIONS = ("SCHEMA_VERSION", "TREESPEC_VERSION")


class AOTInductorModelPickleData(Record, frozen=True):
    library_basename: str
    input_names: list[str]
    output_names: list[str]
    floating_point_input_dtype: int | None = None
    floating_point_output_dtype: int | None = None
    aot_inductor_model_is_cpu: bool | None = None


class ExternKernelNode(Record, frozen=True):
    name: str
    node: Node


class ExternKernelNodes(Record, frozen=True):
    nodes: list[ExternKernelNode]


#: Records that torch's schema also has, and that only the packages of AOTInductor hold.
PACKAGES = (AOTInductorModelPickleData, ExternKernelNode, ExternKernelNodes)


def drift(installed: Mapping[str, Any]) -> list[str]:
    """Compare with a parsed ``schema.yaml`` of torch: one line for each type, field, default or member that differs."""
    ours = _described()
    return [
        *_versions(installed),
        *(f"{name}: not known here" for name in installed if name not in ours and name not in VERSIONS),
        *(f"{name}: not in torch's schema" for name in ours if name not in installed),
        *(line for name in ours if name in installed for line in _of_type(name, ours[name], installed[name])),
    ]


def _versions(installed: Mapping[str, Any]) -> Iterator[str]:
    for name in VERSIONS:
        ours = getattr(schema, name)
        theirs = installed.get(name)
        theirs = tuple(theirs) if isinstance(theirs, list) else theirs
        if theirs != ours:
            yield f"{name}: {theirs} in torch's schema, {ours} here"


def _of_type(name: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
    if ours["kind"] != theirs["kind"]:
        yield f"{name}: a {theirs['kind']} in torch's schema, a {ours['kind']} here"
        return
    known, installed = ours["fields"], theirs["fields"]
    for field in [*known, *(field for field in installed if field not in known)]:
        if field not in installed:
            yield f"{name}.{field}: not in torch's schema"
        elif field not in known:
            yield f"{name}.{field}: not known here"
        elif known[field] != installed[field]:
            yield f"{name}.{field}: {_words(installed[field])} in torch's schema, {_words(known[field])} here"
    common = [field for field in known if field in installed]
    if [field for field in installed if field in known] != common:
        yield f"{name}: its fields stand in another order in torch's schema"


def _words(field: object) -> str:
    if not isinstance(field, Mapping):
        return str(field)
    return f"{field['type']} = {field['default']}" if "default" in field else f"{field['type']}"


def _described() -> dict[str, Mapping[str, Any]]:
    """Return this schema in the form of ``schema.yaml``."""
    records = {**vars(schema), **{each.__name__: each for each in PACKAGES}}
    return {name: _type(name, each) for name, each in records.items() if _is_of_schema(each)}


def _is_of_schema(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, (Record, Tagged, IntEnum)) and value not in (Record, Tagged)


def _type(name: str, kind: Any) -> Mapping[str, Any]:
    if issubclass(kind, IntEnum):
        return {"kind": "enum", "fields": {member.name: int(member) for member in kind}}
    if issubclass(kind, Tagged):
        return {"kind": "union", "fields": {tag: {"type": type_name(each)} for tag, each in kind.tags().items()}}
    own = OWN_FIELDS.get(name, ())
    return {"kind": "struct", "fields": {each.name: _field(each, kind) for each in _schema_fields(kind, own)}}


def _schema_fields(kind: Any, own: Any) -> list[msgspec.structs.FieldInfo]:
    return [each for each in msgspec.structs.fields(kind) if each.name not in own]


def _field(field: msgspec.structs.FieldInfo, record: Any) -> dict[str, str]:
    described = {"type": type_name(fields(record)[field.name])}
    if not field.required:
        described["default"] = _default(field)
    return described


def _default(field: msgspec.structs.FieldInfo) -> str:
    """Spell a default as ``schema.yaml`` does: a text bare, any other value as Python prints it."""
    value = field.default_factory() if callable(field.default_factory) else field.default
    return value if isinstance(value, str) else repr(value)
