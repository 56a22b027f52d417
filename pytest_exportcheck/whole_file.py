"""A file that is written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes its place at the path when the block ends; when the block raises, the old file is as it
    was and nothing is left beside it. No reader ever sees half of it. Where the path is a link, what it leads to is
    written; a device or a pipe is written as it stands, since nothing can take its place.

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
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        Path(name).chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
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


def _umask() -> int:
    """The process's umask: a temporary file is private, one that is written for good as readable as any other."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
