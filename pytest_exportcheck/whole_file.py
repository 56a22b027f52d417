"""A file that is written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Write the file beside its place and move it there, so that no reader ever sees half of it. Its folder is made, and
    where the path is a link, what it leads to is written.

    Raises
    ------
    OSError
        Where the folder cannot be made or the file cannot be written; the old file is as it was.
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    """The process's umask: a temporary file is private, one that is written for good as readable as any other."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
