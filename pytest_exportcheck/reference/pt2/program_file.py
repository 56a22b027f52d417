"""Programs as files: the records of an archive, and the content of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch.export import ExportedProgram
from torch.export.graph_signature import CustomObjArgument, InputKind

from pytest_exportcheck.errors import ArchiveError, SchemaWarning
from pytest_exportcheck.reference._torch.objects import is_opaque
from pytest_exportcheck.reference._torch.values import newest_opset_version, pytree
from pytest_exportcheck.reference.pt2 import schema
from pytest_exportcheck.reference.pt2.archive import ArchiveReader, Place, extra_records, write_archive
from pytest_exportcheck.reference.pt2.collection import collector_paused
from pytest_exportcheck.reference.pt2.convert.program import from_structures, to_structures
from pytest_exportcheck.reference.pt2.forward_compat import keep, with_newer
from pytest_exportcheck.reference.pt2.json.codec import Unknown, decode_program, encode_program
from pytest_exportcheck.reference.pt2.payloads.config import CONSTANTS, WEIGHTS, decode_config, decode_extras, encode
from pytest_exportcheck.reference.pt2.payloads.example_inputs import example_records, read_example
from pytest_exportcheck.reference.pt2.payloads.restore import RestoredPayloads, restore
from pytest_exportcheck.reference.pt2.payloads.store import store
from pytest_exportcheck.reference.pt2.program.from_plain import build_program
from pytest_exportcheck.reference.pt2.program.to_plain import plain_program
from pytest_exportcheck.reference.pt2.warn import warn_caller

MODEL = "model"
PROGRAM = f"models/{MODEL}.json"
EXAMPLE = f"data/sample_inputs/{MODEL}.pt"
PAYLOADS = "exportcheck/payloads.json"


def save(
    program: ExportedProgram,
    file: Place,
    *,
    extra_files: Mapping[str, str | bytes] | None = None,
    opset_version: Mapping[str, int] | None = None,
    pickle_protocol: int = 2,  # noqa: ARG001 -- torch's save has it, and is called in the same way
) -> None:
    """Write the program to a file, as ``torch.export.save`` does.

    Parameters
    ----------
    program
        Any program; it is not modified.
    file
        A path, an open binary file or a buffer. A path has either the new file or the old one, never a part.
    extra_files
        Name -> text or bytes, stored in the archive with the program.
    opset_version
        Operator namespace -> version, for namespaces other than ``aten``.
    pickle_protocol
        Has no effect. ``torch.export.save`` pickles tensors in some files.

    Raises
    ------
    TypeError
        For an object that is not a program.
    UnsupportedError
        For a program that no file can hold: which node, and what to do.
    PayloadError
        For a tensor that no file can hold.
    OSError
        When the file cannot be written.
    """
    if not isinstance(program, ExportedProgram):
        raise TypeError(
            f"The 'ep' parameter must be an instance of 'ExportedProgram', got {type(program).__name__!r} instead. "
            "Export the module first."
        )
    with collector_paused():
        stored = store(program.state_dict, {**program.constants, **_given_objects(program)})
        records: dict[str, Any] = {
            PROGRAM: program_json(program, opset_version),
            **stored.records,
            WEIGHTS.config_record(MODEL): encode(stored.weights),
            CONSTANTS.config_record(MODEL): encode(stored.constants),
            PAYLOADS: encode(stored.extras),
            **example_records(program.example_inputs, EXAMPLE),
            **extra_records(dict(extra_files or {})),
        }
    write_archive(file, records)


def load(
    file: Place,
    *,
    extra_files: dict[str, Any] | None = None,
    expected_opset_version: Mapping[str, int] | None = None,
    trust: bool = False,
) -> ExportedProgram:
    """Read a program that either writer wrote. No code from the file is run without ``trust``.

    Parameters
    ----------
    file
        A path, an open binary file or a buffer.
    extra_files
        A dict whose keys name the extra files to read. Their contents replace the values, as text.
    expected_opset_version
        Operator namespace -> the newest known version. A program with a newer one is read with a warning.
    trust
        Whether the pickles of the file may be read, which may run code from the file.

    Raises
    ------
    ArchiveError
        For a file that is not an archive of a program, or is damaged.
    PayloadError
        For tensors that this machine cannot have, and for pickles without ``trust``.
    SchemaError
        For a program that does not follow the schema: where, expected, got.
    UnsupportedError
        For an operator or a class that does not exist here.
    """
    archive = ArchiveReader(file)
    if PROGRAM not in archive:
        raise ArchiveError(f"{archive.label} has no record {PROGRAM}. Is it a package of several models?")
    where = f"{archive.label}: {PROGRAM}"
    with collector_paused():
        text = read_text(archive.read(PROGRAM), where, expected_opset_version)
        payloads = _payloads(archive, trust)
        program = program_of(
            text,
            state=payloads.weights,
            constants=payloads.constants,
            example_inputs=read_example(archive, EXAMPLE, trust=trust),
        )
    if extra_files:
        found = archive.extra_files()
        extra_files.update({name: _text(found[name], name, archive) for name in extra_files if name in found})
        extra_files.update(dict.fromkeys(extra_files.keys() - found.keys(), ""))
    for name in _given_objects(program):
        program.constants.pop(name, None)
    return program


def _given_objects(program: ExportedProgram) -> dict[str, Any]:
    """Return the opaque objects of the example by the names of their inputs: a file has them among the constants, where
    torch's reader needs them, and a program has not.
    """
    users = [spec.arg for spec in program.graph_signature.input_specs if spec.kind is InputKind.USER_INPUT]
    pairs = zip(users, pytree.tree_leaves(program.example_inputs), strict=False) if program.example_inputs else ()
    return {arg.name: value for arg, value in pairs if isinstance(arg, CustomObjArgument) and is_opaque(value)}


def _text(data: bytes, name: str, archive: ArchiveReader) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ArchiveError(
            f"{archive.label}: the extra file {name!r} is not text: {error}. Leave it out of extra_files."
        ) from None


def _payloads(archive: ArchiveReader, trust: bool) -> RestoredPayloads:
    weights, constants = (
        decode_config(archive.read(name), f"{archive.label}: {name}")
        if name in archive
        else schema.PayloadConfig(config={})
        for name in (WEIGHTS.config_record(MODEL), CONSTANTS.config_record(MODEL))
    )
    extras = decode_extras(archive.read(PAYLOADS), f"{archive.label}: {PAYLOADS}") if PAYLOADS in archive else None
    return restore(archive, weights, constants, extras, trust=trust)


@dataclass(frozen=True)
class ProgramText:
    """The JSON of a program, read: the known fields, and the unknown ones."""

    structures: schema.ExportedProgram
    unknown: Unknown


def read_text(data: bytes, where: str, expected_opset_version: Mapping[str, int] | None) -> ProgramText:
    """Read a program's JSON; warn where its version is newer than this one."""
    structures, unknown = decode_program(data, where=where)
    _compare_opsets(structures.opset_version, expected_opset_version, where)
    return ProgramText(structures, unknown)


def program_of(text: ProgramText, **tensors: Any) -> ExportedProgram:
    """Return the program with its tensors, as :func:`build_program` takes them."""
    program = build_program(from_structures(text.structures), **tensors)
    if text.unknown:
        keep(program, text.unknown, text.structures, _structures(program, None))
    return program


def program_json(program: ExportedProgram, opset_version: Mapping[str, int] | None = None) -> bytes:
    """Return the program without its tensors as JSON, as an archive has it."""
    return encode_program(*with_newer(program, _structures(program, opset_version)))


def _structures(program: ExportedProgram, opset_version: Mapping[str, int] | None) -> schema.ExportedProgram:
    own = {"aten": newest_opset_version()}
    return to_structures(plain_program(program), {**(opset_version or {}), **own})


def _compare_opsets(found: Mapping[str, int], expected: Mapping[str, int] | None, where: str) -> None:
    """Warn where the program uses newer operators than this torch has."""
    known = {"aten": newest_opset_version(), **(expected or {})}
    for name, version in found.items():
        if name in known and version > known[name]:
            warn_caller(
                f"{where}: the program uses version {version} of the operators of {name!r}, but this torch has version {known[name]}. "
                "Operators that changed in between may compute something else.",
                SchemaWarning,
            )
