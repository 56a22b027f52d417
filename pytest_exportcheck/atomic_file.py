"""Files and folders that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that replaces the one at the path when the block ends; when the block raises, the old file is
    unchanged and no other file remains. Readers never see a part of the file. If the path is a link, its target is
    written; a device or a pipe is written directly, because it cannot be replaced.

    Raises
    ------
    OSError
        Where the folder does not exist or the file cannot be written.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():  # a folder is refused by open
        with path.open("wb") as file:
            yield file
        return
    mode = path.stat().st_mode & 0o777 if path.exists() else None
    beside = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with open(beside, "xb", opener=partial(os.open, mode=0o666 if mode is None else mode)) as file:
            yield file
        if mode is not None:  # the umask may have taken from it
            beside.chmod(mode)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def write_whole(path: Path, data: bytes) -> None:
    """Write the file whole or not at all. Its folder is made.

    Raises
    ------
    OSError
        Where the folder cannot be made or the file cannot be written; the old file is as it was.
    """
    path.resolve().parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write(data)


def folder_beside(place: Path) -> Path:
    """Return a hidden folder to fill before it is moved to its place."""
    return place.with_name(f".{place.name[:40]}.{secrets.token_hex(4)}.tmp")


def move(beside: Path, place: Path) -> bool:
    """Move a folder to its place, in place of the one that is there; False where another one appeared at the same
    time.
    """
    aside = beside.with_name(f"{beside.name}.old")
    if place.exists():
        place.replace(aside)
    try:
        beside.replace(place)
    except OSError:
        if aside.exists():
            aside.replace(place)
        if not place.exists():
            raise
        return False
    shutil.rmtree(aside, ignore_errors=True)
    return True
