"""Programs as files: the records of an archive, and the content of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch.export import ExportedProgram
from torch.export.graph_signature import CustomObjArgument, InputKind

from pytest_exportcheck.errors import ArchiveError, SchemaWarning
from pytest_exportcheck.reference._torch.objects import is_opaque
from pytest_exportcheck.reference._torch.values import newest_opset_version, pytree
from pytest_exportcheck.reference.pt2 import schema
from pytest_exportcheck.reference.pt2.archive import (
    MODEL,
    ArchiveReader,
    Place,
    chosen_program,
    extra_records,
    names_of,
    program_text,
    programs_of,
    write_archive,
)
from pytest_exportcheck.reference.pt2.archive.records import flaw
from pytest_exportcheck.reference.pt2.collection import collector_paused
from pytest_exportcheck.reference.pt2.convert.program import from_structures, to_structures
from pytest_exportcheck.reference.pt2.forward_compat import keep, with_newer
from pytest_exportcheck.reference.pt2.json.codec import Unknown, decode_program, encode_program
from pytest_exportcheck.reference.pt2.payloads.config import CONSTANTS, WEIGHTS, decode_config, decode_extras, encode
from pytest_exportcheck.reference.pt2.payloads.example_inputs import example_records, read_example
from pytest_exportcheck.reference.pt2.payloads.pickled_tables import pickled_payloads
from pytest_exportcheck.reference.pt2.payloads.restore import RestoredPayloads, restore
from pytest_exportcheck.reference.pt2.payloads.store import store
from pytest_exportcheck.reference.pt2.program.from_plain import build_program
from pytest_exportcheck.reference.pt2.program.to_plain import plain_program
from pytest_exportcheck.reference.pt2.warn import warn_caller


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
    save_programs({MODEL: program}, file, extra_files=extra_files, opset_version=opset_version)


def save_programs(
    programs: Mapping[str, ExportedProgram],
    file: Place,
    *,
    extra_files: Mapping[str, str | bytes] | None = None,
    opset_version: Mapping[str, int] | None = None,
) -> None:
    """Write several programs to one file, by their names in it, such as ``prefill`` and ``decode``.

    Tensors that two programs share are written for each, as torch does. Parameters and errors are those of ``save``.

    Raises
    ------
    ValueError
        For no program, and for a name that cannot be that of a record.
    """
    if not programs:
        raise ValueError("there is no program to save. Give one at least.")
    records: dict[str, Any] = {}
    numbers: Counter[str] = Counter()
    for name, program in programs.items():
        if not isinstance(program, ExportedProgram):
            raise TypeError(
                f"The 'ep' parameter must be an instance of 'ExportedProgram', got {type(program).__name__!r} instead. "
                "Export the module first."
            )
        if not name or "/" in name or flaw(name):
            raise ValueError(f"{name!r} cannot be the name of a program in a file. Use letters, digits and '_'.")
        with collector_paused():
            records.update(_records(name, program, opset_version, numbers))
    write_archive(file, {**records, **extra_records(dict(extra_files or {}))})


def _records(
    name: str, program: ExportedProgram, opset_version: Mapping[str, int] | None, numbers: Counter[str]
) -> dict[str, Any]:
    names = names_of(name)
    stored = store(program.state_dict, {**program.constants, **_given_objects(program)}, numbers)
    return {
        names.program: program_json(program, opset_version),
        **stored.records,
        WEIGHTS.config_record(name): encode(stored.weights),
        CONSTANTS.config_record(name): encode(stored.constants),
        names.payloads: encode(stored.extras),
        **example_records(program.example_inputs, names),
    }


def load(
    file: Place,
    *,
    extra_files: dict[str, Any] | None = None,
    expected_opset_version: Mapping[str, int] | None = None,
    trust: bool = False,
    program: str = "",
) -> ExportedProgram:
    """Read a program that torch 2.5 or later, or :func:`save` wrote. No code from the file is run without ``trust``.

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
    program
        The name of the program, where the file has several.

    Raises
    ------
    ArchiveError
        For a file that is not an archive of a program, is damaged, or has several programs or none of the name.
    PayloadError
        For tensors that this machine cannot have, and for pickles without ``trust``.
    SchemaError
        For a program that does not follow the schema: where, expected, got.
    UnsupportedError
        For an operator or a class that does not exist here.
    """
    archive = ArchiveReader(file)
    name = program or (MODEL if MODEL in programs_of(archive) else "")
    loaded = _load(archive, chosen_program(archive, name, "load(file, program=NAME)"), expected_opset_version, trust)
    if extra_files:
        found = archive.extra_files()
        extra_files.update({each: _text(found[each], each, archive) for each in extra_files if each in found})
        extra_files.update(dict.fromkeys(extra_files.keys() - found.keys(), ""))
    return loaded


def load_programs(file: Place, *, trust: bool = False) -> dict[str, ExportedProgram]:
    """Return the programs of a file by their names, each as :func:`load` reads it."""
    archive = ArchiveReader(file)
    return {name: _load(archive, name, None, trust) for name in programs_of(archive)}


def _load(archive: ArchiveReader, name: str, opsets: Mapping[str, int] | None, trust: bool) -> ExportedProgram:
    where = f"{archive.label}: {programs_of(archive)[name]}"
    with collector_paused():
        text = read_text(program_text(archive, name), where, opsets)
        payloads = pickled_payloads(archive, name, trust) or _payloads(archive, name, trust)
        program = program_of(
            text,
            state=payloads.weights,
            constants=payloads.constants,
            example_inputs=read_example(archive, names_of(name), trust=trust),
        )
    for each in _given_objects(program):
        program.constants.pop(each, None)
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


def _payloads(archive: ArchiveReader, name: str, trust: bool) -> RestoredPayloads:
    weights, constants = (
        decode_config(archive.read(record), f"{archive.label}: {record}")
        if record in archive
        else schema.PayloadConfig(config={})
        for record in (WEIGHTS.config_record(name), CONSTANTS.config_record(name))
    )
    record = names_of(name).payloads
    extras = decode_extras(archive.read(record), f"{archive.label}: {record}") if record in archive else None
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
