"""Folders that are written whole or not at all."""

from __future__ import annotations

import json
import re
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

from pytest_exportcheck.atomic_file import folder_beside, move
from pytest_exportcheck.errors import BundleError

FINDING, ENVIRONMENT, INPUTS, README, SCRIPT = "finding.json", "environment.json", "inputs.pt", "README.md", "repro.py"
EXPECTED, DRAFT = "expected.pt", "draft-export.txt"

#: Number of attempts to move a folder to a place where another one appears at the same time.
_TRIES = 5


def write_folder(parent: Path, name: str, nodeid: str, fill: Callable[[Path], None]) -> Path:
    """Make a folder that ``fill`` fills, and return it; where ``fill`` raises, none remains. A bundle of the same item
    is replaced; for another item of the same name, a number is added to the name.

    Raises
    ------
    BundleError
        When the folder cannot be written.
    """
    beside = folder_beside(parent / name)
    try:
        beside.mkdir(parents=True)
        fill(beside)
        for _ in range(_TRIES):
            place = _place(parent, name, nodeid)
            if move(beside, place):
                return place
        raise BundleError(f"no bundle is written for {nodeid}: {parent} changes at the same time. Run it again.")
    except OSError as error:
        raise BundleError(
            f"no bundle is written for {nodeid}: {error.strerror or error} ({parent}). Name another folder with "
            "--exportcheck-repro-dir, or free space there."
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def folder_name(*parts: str) -> str:
    """Return a readable name of letters, digits and some signs."""
    return re.sub(r"[^\w.+-]+", "_", "-".join(part for part in parts if part)).strip("._")


def _place(parent: Path, name: str, nodeid: str) -> Path:
    """Return the folder to make or to replace."""
    place = parent / name
    other = place if _is_free(place, nodeid) else parent / f"{name}-{zlib.crc32(nodeid.encode()):08x}"
    if not _is_free(other, nodeid):
        raise BundleError(
            f"no bundle is written for {nodeid}: {other} exists and is not a bundle of it. Delete it, or name another folder "
            "with --exportcheck-repro-dir."
        )
    return other


def _is_free(place: Path, nodeid: str) -> bool:
    if not place.exists() and not place.is_symlink():
        return True
    try:
        found = json.loads((place / FINDING).read_bytes())["outcome"]["nodeid"]
    except (OSError, ValueError, KeyError, TypeError):  # not a bundle
        return False
    return bool(found == nodeid)
