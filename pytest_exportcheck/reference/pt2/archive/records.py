"""What every PT2 archive has besides its content, and which names its records may have."""

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
FRAME: Mapping[str, bytes] = MappingProxyType(
    {"archive_format": b"pt2", "archive_version": b"0", ZIP_VERSION: b"6\n", BYTE_ORDER: sys.byteorder.encode()}
)
"""Records that say what the file is. The number of the zip version is that of torch's container, not of the archive."""
CHUNK = 1 << 24


def flaw(name: str) -> str | None:
    """Why a full name can be no record's; None where it can."""
    parts = name.split("/")
    if "" in parts or "." in parts or ".." in parts:
        return "one of its folders is empty, '.' or '..'"
    if "\\" in name or "\0" in name:
        return "it has a backslash or a zero in it"
    try:
        fits = len(name.encode()) <= 0xFFFF
    except UnicodeEncodeError:
        fits = False
    return None if fits else "it is no Unicode text of at most 65535 bytes"


def label_of(place: Place) -> str:
    """What messages call a file."""
    if isinstance(place, (str, os.PathLike)):
        return os.fspath(place)
    name = getattr(place, "name", None)
    return name if isinstance(name, str) else f"the {type(place).__name__}"


def refuse_text(file: BinaryIO) -> None:
    """Refuse a file that is open as text.

    Raises
    ------
    ArchiveError
        Where it is.
    """
    if isinstance(file, io.TextIOBase):
        raise ArchiveError(f"{label_of(file)} is open as text. Open it in binary mode.")
