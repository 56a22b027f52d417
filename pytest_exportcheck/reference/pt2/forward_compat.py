"""Fields of a file of a newer minor version that are not known here: kept on the program, and written back with it."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from torch.export import ExportedProgram

from pytest_exportcheck.errors import SerializationWarning
from pytest_exportcheck.reference.pt2 import schema
from pytest_exportcheck.reference.pt2.convert.program import SCHEMA_VERSION
from pytest_exportcheck.reference.pt2.json.codec import Unknown, encode_program
from pytest_exportcheck.reference.pt2.warn import warn_caller


@dataclass(frozen=True)
class Newer:
    """The unknown fields, the version that has them, and the program as it was with them."""

    unknown: Unknown
    version: schema.SchemaVersion
    program: bytes


#: The attribute of a program that holds them, so that they go where the program goes, into its copies too.
_ATTRIBUTE = "_exportcheck_newer"


def keep(
    program: ExportedProgram, unknown: Unknown, read: schema.ExportedProgram, written: schema.ExportedProgram
) -> None:
    """Keep the unknown fields of ``read``. ``written`` is what this version writes of the program now: fields are found
    by their places.
    """
    if _bare(read) != _bare(written):
        warn_caller(
            f"{_fields(unknown)} cannot be preserved: this version serializes the program differently.",
            SerializationWarning,
        )
        return
    vars(program)[_ATTRIBUTE] = Newer(unknown, read.schema_version, _bare(written))


def with_newer(
    program: ExportedProgram, written: schema.ExportedProgram
) -> tuple[schema.ExportedProgram, Unknown | None]:
    """Return the structures under the version of the file that the program was loaded from, and the unknown fields to
    write with them.
    """
    kept: Newer | None = vars(program).get(_ATTRIBUTE)
    if kept is None:
        return written, None
    if _bare(written) != kept.program:
        warn_caller(
            f"{_fields(kept.unknown)} are left out: the program was changed after it was loaded.", SerializationWarning
        )
        return written, None
    return msgspec.structs.replace(written, schema_version=kept.version), kept.unknown


def _fields(unknown: Unknown) -> str:
    known = f"{SCHEMA_VERSION.major}.{SCHEMA_VERSION.minor}"
    return f"fields beyond schema {known} ({', '.join(unknown.places)})"


def _bare(program: schema.ExportedProgram) -> bytes:
    """Return the program without the fields that identify its writer."""
    return encode_program(
        msgspec.structs.replace(
            program, exportcheck=None, schema_version=SCHEMA_VERSION, torch_version="", opset_version={}
        )
    )
