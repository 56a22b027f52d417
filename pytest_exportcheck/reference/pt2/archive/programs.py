"""The programs of an archive: the record that each is in, whichever version of torch wrote it. Without torch."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from pytest_exportcheck.errors import ArchiveError
from pytest_exportcheck.reference.pt2.archive.reader import ArchiveReader
from pytest_exportcheck.reference.pt2.json.strict import text_of

_RECORD = re.compile(r"models/([^/]+)\.json")
OLD_PROGRAM = "serialized_exported_program.json"
OLD_STATE = "serialized_state_dict.pt"
OLD_CONSTANTS = "serialized_constants.pt"
OLD_EXAMPLE = "serialized_example_inputs.pt"
"""The records of torch 2.7 and older, which saved one program to a file, and tensors as pickles."""
MODEL = "model"
"""The name of the program that ``torch.export.save`` writes."""


class Names(NamedTuple):
    """The names of the records of one program: its JSON, its example inputs, and those that only this project reads."""

    program: str
    example: str
    payloads: str
    leaves: str
    structure: str


def names_of(name: str) -> Names:
    """Return the names of the records of a program in an archive of torch 2.8 or later."""
    own = "exportcheck/" if name == MODEL else f"exportcheck/{name}/"
    return Names(
        program=f"models/{name}.json",
        example=f"data/sample_inputs/{name}.pt",
        payloads=f"{own}payloads.json",
        leaves=f"{own}example_leaves.pt",
        structure=f"{own}example_structure.json",
    )


def programs_of(archive: ArchiveReader) -> dict[str, str]:
    """Return the record of each program by the program's name, in the order of the file.

    Raises
    ------
    ArchiveError
        Where the archive has no program.
    """
    if archive.is_old:
        if OLD_PROGRAM in archive:
            return {MODEL: OLD_PROGRAM}
        raise ArchiveError(
            f"{archive.label} is not an archive of a program: it has a record 'version' outside of a root folder, as files of "
            f"torch 2.7 and older, but no record {OLD_PROGRAM!r}. Save the program with torch.export.save."
        )
    found = {match[1]: match[0] for name in archive.names if (match := _RECORD.fullmatch(name))}
    if not found:
        raise ArchiveError(
            f"{archive.label} is not an archive of a program: it has no record models/NAME.json. "
            "Save the program with torch.export.save."
        )
    return found


def chosen_program(archive: ArchiveReader, name: str, how: str) -> str:
    """Return the name of the program to read: the named one, or the only one. ``how`` says how a user chooses one.

    Raises
    ------
    ArchiveError
        Where the archive has no such program, or several and no name was given.
    """
    names = list(programs_of(archive))
    if name in names:
        return name
    if not name and len(names) == 1:
        return names[0]
    listed = ", ".join(names)
    if name:
        raise ArchiveError(f"{archive.label} has no program {name!r}. Its programs: {listed}.")
    raise ArchiveError(f"{archive.label} has {len(names)} programs: {listed}. Choose one of them: {how}.")


def program_text(archive: ArchiveReader, name: str) -> bytes:
    """Return the JSON of a program in the form of schema 8: torch 2.5 wrote ``"as_none": []`` for
    ``true``, and a boolean constant as ``as_int``.

    Raises
    ------
    ArchiveError
        Where the record is damaged.
    SchemaError
        Where one of schema 7 is not JSON.
    """
    record = programs_of(archive)[name]
    data = archive.read(record)
    return _of_schema_8(data, f"{archive.label}: {record}") if archive.is_old else data


def _of_schema_8(data: bytes, where: str) -> bytes:
    """Return JSON of schema 7 as JSON of schema 8, and everything else as it is: its reader says what is wrong."""
    tree = json.loads(text_of(data, where=where))
    version = tree.get("schema_version") if isinstance(tree, dict) else None
    if not isinstance(version, dict) or version.get("major") != 7:
        return data
    tree["schema_version"] = {"major": 8, "minor": 0}
    _upgrade(tree)
    return json.dumps(tree).encode()


def _upgrade(tree: Any) -> None:
    below = [tree]
    while below:
        each = below.pop()
        if isinstance(each, dict):
            if each == {"as_none": []}:
                each["as_none"] = True
            if len(each) == 1 and isinstance(each.get("as_int"), bool):
                each["as_bool"] = each.pop("as_int")
            below.extend(each.values())
        elif isinstance(each, list):
            below.extend(each)
