"""The file in which a package is kept: its key, the facts about it and its files, with a digest at the end.

The file is: a line that names the format, the length of the head in eight bytes, the head as JSON, the contents of the
files one after another, and a digest of all of that. A file that was cut off, changed or made for another key is not
read.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from pytest_exportcheck.runtimes.protocol import Fact

SUFFIX = ".package"

_FORMAT = b"pytest-exportcheck package 1\n"
_LENGTH = struct.Struct("<Q")
_PIECE = 2**20


class Unreadable(ValueError):
    """A file that does not hold the package of a key."""


def write_package(stream: BinaryIO, key: Mapping[str, str], folder: Path, facts: Mapping[str, Fact]) -> None:
    """Write the files of a folder."""
    files = sorted(each for each in folder.rglob("*") if each.is_file())
    listed = [[each.relative_to(folder).as_posix(), each.stat().st_size] for each in files]
    head = json.dumps({"key": dict(key), "facts": dict(facts), "files": listed}).encode()
    digest = hashlib.blake2b()
    for piece in (_FORMAT, _LENGTH.pack(len(head)), head):
        stream.write(piece)
        digest.update(piece)
    for each in files:
        with each.open("rb") as file:
            while piece := file.read(_PIECE):
                stream.write(piece)
                digest.update(piece)
    stream.write(digest.digest())


def read_package(file: Path, key: Mapping[str, str], folder: Path) -> dict[str, Fact]:
    """Write the files of a package into an empty folder, and return the facts about it. The folder stays empty where
    the package cannot be read.

    Raises
    ------
    Unreadable
        For a file that is not whole, or that was written for another key.
    OSError
        Where the file cannot be opened, or the folder cannot be written.
    """
    try:
        with file.open("rb") as stream:
            return _read(stream, file.stat().st_size, key, folder)
    except BaseException:
        for each in folder.iterdir():
            shutil.rmtree(each) if each.is_dir() else each.unlink()
        raise


def _read(stream: BinaryIO, size: int, key: Mapping[str, str], folder: Path) -> dict[str, Fact]:
    digest = hashlib.blake2b()

    def piece(length: int) -> bytes:
        found = stream.read(length)
        if len(found) != length:
            raise Unreadable("cut off")
        digest.update(found)
        return found

    if piece(len(_FORMAT)) != _FORMAT:
        raise Unreadable("another format")
    (length,) = _LENGTH.unpack(piece(_LENGTH.size))
    head = _head(piece(min(length, size)))
    if head["key"] != dict(key):
        raise Unreadable("another key")
    for name, left in head["files"]:
        path = folder / _checked(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            while left:
                file.write(piece(min(left, _PIECE)))
                left -= min(left, _PIECE)
    if stream.read() != digest.digest():
        raise Unreadable("another content")
    facts: dict[str, Fact] = head["facts"]
    return facts


def _head(text: bytes) -> dict[str, Any]:
    try:
        head = json.loads(text)
        files = [(str(name), int(size)) for name, size in head["files"]]
        return {"key": dict(head["key"]), "facts": dict(head["facts"]), "files": files}
    except (ValueError, KeyError, TypeError) as error:
        raise Unreadable("another head") from error


def _checked(name: str) -> str:
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or PurePosixPath(name).is_absolute():
        raise Unreadable("a file outside its folder")
    return name
