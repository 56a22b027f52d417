"""Folders that live as long as the process that made them: those of a process that was killed are removed by the next.

An owner holds a lock on a file in its folder. A folder whose lock is free has no owner.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # there are no such locks on Windows, where nothing is swept
    fcntl = None  # type: ignore[assignment]

_PREFIX, _LOCK = "exportcheck-", "owner.lock"

#: The folder in which systems keep files in memory.
MEMORY = Path("/dev/shm")


class OwnedFolder:
    """A new folder among the temporary files, or in ``parent``. It is removed by :meth:`remove`, and at exit at the
    latest.
    """

    def __init__(self, parent: Path | None = None) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        lock = _locked(self.path)
        self._remove = weakref.finalize(self, _removed, self.path, lock)

    def remove(self) -> None:
        """Remove the folder and everything in it."""
        self._remove()


def sweep() -> None:
    """Remove the folders whose owners have been killed."""
    if fcntl is None:
        return
    for folder in _swept():
        for lock in folder.glob(f"{_PREFIX}*/{_LOCK}"):
            _remove_if_free(lock)


def _swept() -> Iterator[Path]:
    yield Path(tempfile.gettempdir())
    if MEMORY.is_dir():
        yield MEMORY


def _remove_if_free(lock: Path) -> None:
    try:
        with lock.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)
    except OSError:  # it has an owner, which may be another user, or is being removed
        return


def _locked(folder: Path) -> Any:
    """Return a locked file of the folder. It has its name only once it is locked."""
    if fcntl is None:
        return None
    unnamed = folder / "lock"
    file = os.open(unnamed, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX)
    unnamed.rename(folder / _LOCK)
    return file


def _removed(folder: Path, lock: int | None) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if lock is not None:
        os.close(lock)
