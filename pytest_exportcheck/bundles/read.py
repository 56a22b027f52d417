"""The reader of bundles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
from torch.export import ExportedProgram

from pytest_exportcheck.bundles.folder import ENVIRONMENT, FINDING, INPUTS
from pytest_exportcheck.bundles.inputs import Calls, read_calls
from pytest_exportcheck.bundles.programs import PROGRAM, read_program
from pytest_exportcheck.errors import BundleError
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.records import BundleEnvironment, BundleRecord
from pytest_exportcheck.records.bundles import MAJOR, MINOR, SCHEMA

_Part = TypeVar("_Part", BundleRecord, BundleEnvironment)


class _Head(msgspec.Struct):
    """The first fields of every version of a file."""

    schema: str
    version: str


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle as it was read. Inputs and programs are loaded each time: stages may change what they are given."""

    folder: Path
    record: BundleRecord
    environment: BundleEnvironment

    @property
    def mode(self) -> Mode:
        """Return the mode that the findings are about."""
        return Mode.parse(self.record.mode)

    def calls(self) -> Calls:
        """Return the inputs.

        Raises
        ------
        BundleError
            When they cannot be read.
        """
        return read_calls(self.folder / INPUTS)

    def program(self) -> ExportedProgram:
        """Return the program that the stage was given.

        Raises
        ------
        BundleError
            When it cannot be loaded.
        """
        return read_program(self.folder / PROGRAM)


def read_bundle(folder: Path) -> Bundle:
    """Read a folder that ``--exportcheck-repro-dir`` wrote.

    Raises
    ------
    BundleError
        When it is not a bundle, is incomplete or damaged, or comes from a newer version of the plugin.
    """
    if not folder.is_dir():
        raise BundleError(f"{folder} is not a folder. Name one that pytest --exportcheck-repro-dir wrote.")
    return Bundle(folder, _part(folder / FINDING, BundleRecord), _part(folder / ENVIRONMENT, BundleEnvironment))


def _part(path: Path, kind: type[_Part]) -> _Part:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise BundleError(
            f"{path.parent} is not a whole bundle: it has no {path.name}. Write it again with pytest --exportcheck-repro-dir."
        ) from None
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror or error}.") from None
    try:
        head = msgspec.json.decode(content, type=_Head)
        major, minor = (int(part) for part in head.version.split("."))
    except (msgspec.MsgspecError, ValueError) as error:
        raise BundleError(
            f"{path} is not of a bundle ({error}). pytest --exportcheck-repro-dir writes bundles."
        ) from None
    if head.schema != SCHEMA:
        raise BundleError(f"{path} is not of a bundle: its schema is {head.schema!r}, expected {SCHEMA!r}.")
    if (major, minor) > (MAJOR, MINOR) or major < MAJOR:
        raise BundleError(
            f"{path.parent} has version {major}.{minor} of the bundle, and this pytest-exportcheck reads up to {MAJOR}.{MINOR}: "
            "replay it with the version of pytest-exportcheck in its environment.json, or a newer one."
        )
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BundleError(f"{path} is damaged: {error}. Write the bundle again.") from None
