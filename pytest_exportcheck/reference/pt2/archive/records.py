"""The records that every PT2 archive has besides its content, and the names that its records may have."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import BinaryIO, TypeAlias

from pytest_exportcheck.errors import ArchiveError

Place: TypeAlias = "str | os.PathLike[str] | BinaryIO"
"""Where an archive is: a path, or an open binary file or buffer, from its position on."""

EXTRA = "extra/"
ZIP_VERSION, IDENTITY, BYTE_ORDER = ".data/version", ".data/serialization_id", "byteorder"
ARCHIVE_VERSION = "archive_version"
FRAME: Mapping[str, bytes] = MappingProxyType(
    {"archive_format": b"pt2", ARCHIVE_VERSION: b"0", ZIP_VERSION: b"6\n", BYTE_ORDER: sys.byteorder.encode()}
)
"""Records that say what the file is. The number of the zip version is that of torch's container, not of the archive."""
CHUNK = 1 << 24


def flaw(name: str) -> str | None:
    """Return the reason why a full name cannot be that of a record; None where it can."""
    parts = name.split("/")
    if "" in parts or "." in parts or ".." in parts:
        return "one of its folders is empty, '.' or '..'"
    if "\\" in name or "\0" in name:
        return "it contains a backslash or a NUL character"
    try:
        fits = len(name.encode()) <= 0xFFFF
    except UnicodeEncodeError:
        fits = False
    return None if fits else "it is not Unicode text of at most 65535 bytes"


def label_of(place: Place) -> str:
    """Return the name of a file as messages have it."""
    if isinstance(place, (str, os.PathLike)):
        return os.fspath(place)
    name = getattr(place, "name", None)
    return name if isinstance(name, str) else f"the {type(place).__name__}"


def refuse_text(file: BinaryIO) -> None:
    """Refuse a file that is open as text.

    Raises
    ------
    ArchiveError
        Where the file is open as text.
    """
    if isinstance(file, io.TextIOBase):
        raise ArchiveError(f"{label_of(file)} is open in text mode. Open it in binary mode.")
