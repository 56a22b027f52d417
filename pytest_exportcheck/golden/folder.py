"""The folders of golden programs: ``DIR/CASE/VERSION``, listed, read with care, written whole."""

from __future__ import annotations

import hashlib
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
from packaging.version import InvalidVersion, Version

from pytest_exportcheck.atomic_file import folder_beside, move
from pytest_exportcheck.errors import GoldenError
from pytest_exportcheck.records.golden import MAJOR, MINOR, SCHEMA, GoldenFacts

PROGRAM, CALLS, FACTS = "program.pt2", "io.pt", "facts.json"

#: The most bytes of the files of one golden program: they are kept in a repository.
MOST_BYTES = 5_000_000

_POINTER = b"version https://git-lfs.github.com/spec/"
_UPDATE = "Restore the folder or delete it; --exportcheck-update-golden writes the one of the running torch again"


@dataclass(frozen=True, eq=False, kw_only=True)
class GoldenFiles:
    """A golden program as it is stored."""

    folder: Path
    facts: GoldenFacts
    program: bytes
    calls: bytes


class _Head(msgspec.Struct):
    """The first fields of every version of the file."""

    schema: str
    version: str


def version_name(version: str) -> str:
    """Return the name of the folder of a version of torch: without the part that names a build, such as ``+cpu``."""
    return version.partition("+")[0]


def stored_cases(root: Path) -> list[str]:
    """Return the names of the cases that a folder has golden programs of.

    Raises
    ------
    GoldenError
        When the folder cannot be read, or is not a folder.
    """
    return [path.name for path in _folders(root)]


def stored_versions(root: Path, case: str) -> list[str]:
    """Return the versions of torch that wrote golden programs of a case, the oldest first.

    Raises
    ------
    GoldenError
        When the folder cannot be read, or has a folder that is not named by a version.
    """
    return sorted((path.name for path in _folders(root / case)), key=lambda name: _version(root / case / name))


def read_golden(folder: Path, case: str) -> GoldenFiles:
    """Read a golden program. Its files must be those that were written together.

    Raises
    ------
    GoldenError
        When it is not whole, is damaged or of another case, version or plugin: one line that says what to do.
    """
    facts = _facts(folder / FACTS)
    if facts.case != case:
        raise GoldenError(
            f"{folder} is the golden program of the case {facts.case!r}, not of {case!r}: {FACTS} says so. Rename the folder "
            "back, or delete it and write a golden program of this case with --exportcheck-update-golden."
        )
    if version_name(facts.torch) != folder.name:
        raise GoldenError(
            f"{folder} was written by torch {facts.torch}, as {FACTS} says. Rename the folder to {version_name(facts.torch)}."
        )
    contents = {name: _content(folder / name) for name in (PROGRAM, CALLS)}
    for name, content in contents.items():
        if facts.files.get(name) != digest(content):
            raise GoldenError(
                f"{folder / name} is not the file that {FACTS} was written with: it was edited, or changes now. {_UPDATE}."
            )
    return GoldenFiles(folder=folder, facts=facts, program=contents[PROGRAM], calls=contents[CALLS])


def write_golden(folder: Path, facts: GoldenFacts, contents: Mapping[str, bytes]) -> None:
    """Write a golden program whole, in place of one that is there.

    Raises
    ------
    GoldenError
        When it cannot be written, or is too large.
    """
    size = sum(map(len, contents.values()))
    if size > MOST_BYTES:
        sizes = ", ".join(f"{name} {len(content) / 1e6:.1f} MB" for name, content in contents.items())
        raise GoldenError(
            f"no golden program of {facts.case} is written: it would have {size / 1e6:.1f} MB ({sizes}), and a golden program has "
            f"at most {MOST_BYTES / 1e6:g} MB. Give the case fewer or smaller layers, or smaller inputs: the program has the same "
            "operators then. Or leave the case out: -k."
        )
    beside = folder_beside(folder)
    try:
        beside.mkdir(parents=True)
        for name, content in contents.items():
            (beside / name).write_bytes(content)
        (beside / FACTS).write_bytes(msgspec.json.format(msgspec.json.encode(facts), indent=1) + b"\n")
        if not move(beside, folder):
            raise GoldenError(f"{folder} changes at the same time: nothing is written. Run it again.")
    except OSError as error:
        raise GoldenError(
            f"{folder} cannot be written: {error.strerror or error}. Name another folder with --exportcheck-golden."
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def remove_golden(folder: Path) -> None:
    """Remove a golden program, or all of a case. Only folders that look like one are deleted.

    Raises
    ------
    GoldenError
        When the folder holds other files, or cannot be deleted.
    """
    try:
        others = [path for path in folder.rglob("*") if path.is_symlink() or not _is_expected(path, folder)]
        if others:
            raise GoldenError(
                f"{folder} is not deleted: {others[0]} is not a file of a golden program. Delete it by hand."
            )
        shutil.rmtree(folder)
    except OSError as error:
        raise GoldenError(f"{folder} cannot be deleted: {error.strerror or error}. Delete it by hand.") from error


def digest(content: bytes) -> str:
    """Return the digest by which ``facts.json`` names the content of a file."""
    return hashlib.sha256(content).hexdigest()


def _is_expected(path: Path, folder: Path) -> bool:
    return path.name in (PROGRAM, CALLS, FACTS) if not path.is_dir() else path.parent == folder


def _folders(root: Path) -> list[Path]:
    try:
        if root.exists() and not root.is_dir():
            raise GoldenError(f"{root} is not a folder. Name a folder with --exportcheck-golden.")
        found = root.iterdir() if root.exists() else ()
        return sorted(path for path in found if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise GoldenError(f"{root} cannot be read: {error.strerror or error}. Correct its permissions.") from None


def _version(folder: Path) -> Version:
    try:
        return Version(folder.name)
    except InvalidVersion:
        raise GoldenError(
            f"{folder} is not named by a version of torch, such as 2.13.0. Rename the folder, or delete it."
        ) from None


def _facts(path: Path) -> GoldenFacts:
    content = _content(path)
    try:
        head = msgspec.json.decode(content, type=_Head)
        major, minor = (int(part) for part in head.version.split("."))
    except (msgspec.MsgspecError, ValueError) as error:
        raise GoldenError(f"{path} is not of a golden program ({_line(error)}). {_UPDATE}.") from None
    if head.schema != SCHEMA:
        raise GoldenError(
            f"{path} is not of a golden program: its schema is {head.schema!r}, expected {SCHEMA!r}. {_UPDATE}."
        )
    if (major, minor) > (MAJOR, MINOR):
        raise GoldenError(
            f"{path} has version {major}.{minor}, and this pytest-exportcheck reads up to {MAJOR}.{MINOR}. Install the version of "
            "pytest-exportcheck that wrote it, or a newer one."
        )
    try:
        return msgspec.json.decode(content, type=GoldenFacts)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise GoldenError(f"{path} is damaged: {_line(error)}. {_UPDATE}.") from None


def _content(path: Path) -> bytes:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # a pipe may never end
            raise GoldenError(f"{path} is not a file. {_UPDATE}.")
        if found.st_size > MOST_BYTES:
            raise GoldenError(
                f"{path} has {found.st_size / 1e6:.1f} MB, and a golden program has at most {MOST_BYTES / 1e6:g} MB. {_UPDATE}."
            )
        content = path.read_bytes()
    except FileNotFoundError:
        raise GoldenError(f"{path.parent} is not a whole golden program: it has no {path.name}. {_UPDATE}.") from None
    except OSError as error:
        raise GoldenError(f"{path} cannot be read: {error.strerror or error}. Correct its permissions.") from None
    if content.startswith(_POINTER):
        raise GoldenError(f"{path} is a pointer of Git LFS, not the file itself. Fetch the file: git lfs pull.")
    return content


def _line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
