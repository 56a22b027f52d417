"""Files that a command writes: whole or not at all, with one message for what cannot be written."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pytest_exportcheck.atomic_file import write_whole
from pytest_exportcheck.errors import ReportError
from pytest_exportcheck.reports.encoding import simple_types


def json_of(record: object) -> bytes:
    """Return a record as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(simple_types(record)), indent=2) + b"\n"


def write_file(path: Path, content: bytes) -> None:
    """Write a file.

    Raises
    ------
    ReportError
        Where the path is a folder or cannot be written.
    """
    if path.is_dir():
        raise ReportError(f"{path} cannot be written: it is a folder. Name a file in it.")
    try:
        write_whole(path, content)
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror or error}.") from None
