"""The packages of earlier runs, in one folder, each in a file that is named by the digest of its key.

Several processes may use a folder: a file appears whole, and one that another process has removed is compiled again.
The folder never grows beyond its limit for longer than a file is written: the packages that were not used for the
longest time are removed first.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pytest_exportcheck.atomic_file import whole_file
from pytest_exportcheck.harness.fingerprint import digest_of
from pytest_exportcheck.runtimes.notices import Notices
from pytest_exportcheck.runtimes.package_file import SUFFIX, Unreadable, read_package, write_package
from pytest_exportcheck.runtimes.protocol import Fact

#: Seconds after which an unfinished file belongs to a process that was killed.
_ABANDONED = 3600.0

#: Names of the files of this cache: a folder may have others, which are kept.
_KEPT, _UNFINISHED = re.compile(rf"[0-9a-f]{{32}}{re.escape(SUFFIX)}"), re.compile(r"\.[0-9a-f]{16}\.tmp")

_OPTION = "--exportcheck-runtime-cache"


class PackageCache:
    """A folder of packages.

    Parameters
    ----------
    folder
        Returns the folder, which is made when something is kept; None for no cache.
    limit
        Bytes that all packages may have together.
    """

    def __init__(self, folder: Callable[[], Path] | None = None, *, limit: int = 0) -> None:
        self._folder = folder
        self._found: Path | None = None
        self._limit = limit
        self._writes = True
        self.notices = Notices()

    @property
    def is_on(self) -> bool:
        """Return True if packages are kept."""
        return self._folder is not None

    def fetch(self, key: Mapping[str, str], into: Path) -> dict[str, Fact] | None:
        """Write the files of a kept package into an empty folder, and return the facts that were kept with it; None where
        there is none that can be read.
        """
        try:
            file = self._file(key)
            facts = read_package(file, key, into)
        except (FileNotFoundError, Unreadable):  # what cannot be read is compiled again, and replaced
            return None
        except OSError as error:
            self._say(error)
            return None
        try:
            os.utime(file)
        except OSError:  # a folder that can only be read: nothing is removed from it either
            pass
        return facts

    def keep(self, key: Mapping[str, str], folder: Path, facts: Mapping[str, Fact]) -> None:
        """Keep the files of a folder. What cannot be kept is reported once, and the run goes on."""
        if not self._writes or sum(each.stat().st_size for each in folder.rglob("*")) > self._limit:
            return
        try:
            file = self._file(key)
            file.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(file) as stream:
                write_package(stream, key, folder, facts)
            self._shrink(file)
        except OSError as error:
            self._writes = False
            self._say(error)

    def drop(self, key: Mapping[str, str]) -> None:
        """Remove a package that could not be loaded."""
        try:
            self._file(key).unlink(missing_ok=True)
        except OSError as error:
            self._say(error)

    def clear(self) -> None:
        """Remove all packages."""
        try:
            for file in self._named(_KEPT) if self.is_on else ():
                file.unlink(missing_ok=True)
        except OSError as error:
            self._say(error)

    def _file(self, key: Mapping[str, str]) -> Path:
        name = digest_of(f"{part}={text}" for part, text in sorted(key.items()))
        return self._where() / f"{name}{SUFFIX}"

    def _where(self) -> Path:
        if self._folder is None:
            raise FileNotFoundError("no folder for packages")
        if self._found is None:
            self._found = self._folder()
        return self._found

    def _named(self, pattern: re.Pattern[str]) -> list[Path]:
        folder = self._where()
        return [each for each in folder.iterdir() if pattern.fullmatch(each.name)] if folder.exists() else []

    def _shrink(self, newest: Path) -> None:
        """Remove packages until the others fit, and files that killed processes left."""
        for file in self._named(_UNFINISHED):
            if time.time() - _stat(file)[0] > _ABANDONED:
                file.unlink(missing_ok=True)
        found = sorted((*_stat(file), file) for file in self._named(_KEPT) if file != newest)
        size = sum(size for _, size, _ in found) + _stat(newest)[1]
        for _, own, file in found:
            if size > self._limit:
                file.unlink(missing_ok=True)
                size -= own

    def _say(self, error: OSError) -> None:
        where = f": {self._found}" if self._found else ""
        self.notices.add(
            f"packages of runtimes are not kept for the next run: {error.strerror or error}{where}. Choose another folder with "
            f"{_OPTION}=DIR, or turn this off with {_OPTION}=off."
        )


def _stat(file: Path) -> tuple[float, int]:
    """Return when a file was used last, and its size; zeros for one that another process has removed."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return 0.0, 0
    return found.st_mtime, found.st_size
