"""The whole program, and the versions of the schema that are read and written."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec

from pytest_exportcheck.reference.pt2.schema.base import Record
from pytest_exportcheck.reference.pt2.schema.graph import Argument, Graph
from pytest_exportcheck.reference.pt2.schema.signature import GraphSignature

SCHEMA_VERSION = (8, 20)
"""Major and minor: another major is refused, a newer minor is read with a warning."""

TREESPEC_VERSION = 1

if TYPE_CHECKING:
    Supplement: TypeAlias = msgspec.Raw | None
else:
    Supplement = msgspec.Raw  # msgspec does not decode unions with Raw, and does not check defaults


class SchemaVersion(Record, frozen=True):
    major: int
    minor: int


class RangeConstraint(Record, frozen=True):
    """A range that includes both ends; an end that is None is not bounded."""

    min_val: int | None
    max_val: int | None


class ModuleCallSignature(Record, frozen=True):
    """The signature of a module call: ``in_spec`` and ``out_spec`` are pytree specs, each as a JSON text."""

    inputs: list[Argument]
    outputs: list[Argument]
    in_spec: str
    out_spec: str
    forward_arg_names: list[str] | None = None


class ModuleCallEntry(Record, frozen=True):
    fqn: str
    signature: ModuleCallSignature | None = None


class NamedTupleDef(Record, frozen=True):
    field_names: list[str]


class GraphModule(Record, frozen=True):
    graph: Graph
    signature: GraphSignature
    module_call_graph: list[ModuleCallEntry]
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    treespec_namedtuple_fields: dict[str, NamedTupleDef] = msgspec.field(default_factory=dict)


class ExportedProgram(Record, frozen=True):
    """An exported program. A file before torch 2.5 does not name the torch that wrote it.

    ``exportcheck`` is not a field of torch's schema: it holds, as JSON text, what that schema has no slot for. It is
    left out of the JSON where it is None.
    """

    graph_module: GraphModule
    opset_version: dict[str, int]
    range_constraints: dict[str, RangeConstraint]
    schema_version: SchemaVersion
    verifiers: list[str] = msgspec.field(default_factory=list)
    torch_version: str = "<=2.4"
    guards_code: list[str] = msgspec.field(default_factory=list)
    exportcheck: Supplement = None


__all__ = [
    "SCHEMA_VERSION",
    "TREESPEC_VERSION",
    "ExportedProgram",
    "GraphModule",
    "ModuleCallEntry",
    "ModuleCallSignature",
    "NamedTupleDef",
    "RangeConstraint",
    "SchemaVersion",
]
