"""The programs of a bundle: saved by torch, and what saving them changes."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import torch
from torch.export import ExportedProgram

from pytest_exportcheck.errors import BundleError
from pytest_exportcheck.harness.isolation import quiet
from pytest_exportcheck.harness.process_state import preserved_globals

#: Names of the files.
PROGRAM, CAPTURED = "program.pt2", "captured.pt2"


def saved_program(program: ExportedProgram) -> bytes:
    """Return the content of a file that ``torch.export.save`` writes.

    Raises
    ------
    BundleError
        When torch cannot save the program.
    """
    buffer = io.BytesIO()
    try:
        with preserved_globals(), quiet():
            torch.export.save(program, buffer)
    except Exception as error:  # torch in its own words
        raise BundleError(f"torch.export.save raises {type(error).__name__}: {_line(error)}") from error
    return buffer.getvalue()


def lost_by_saving(content: bytes, shown_by: Callable[[ExportedProgram], bool]) -> str:
    """Return why a finding is not there with the program of a file; empty where it is."""
    try:
        with preserved_globals(), quiet():
            loaded = torch.export.load(io.BytesIO(content))
            shown = shown_by(loaded)
    except Exception as error:  # torch in its own words
        return f"torch.export.load raises {type(error).__name__}: {_line(error)}"
    return "" if shown else "the finding is not there with a program that was saved and loaded"


def read_program(path: Path) -> ExportedProgram:
    """Load a program of a bundle.

    Raises
    ------
    BundleError
        When the file is missing, or torch cannot load it.
    """
    if not path.is_file():
        raise BundleError(f"{path} is missing: the bundle is incomplete. Write it again.")
    try:
        with preserved_globals(), quiet():
            return torch.export.load(path)
    except Exception as error:  # torch in its own words
        raise BundleError(
            f"{path} cannot be loaded by torch {torch.__version__} ({type(error).__name__}: {_line(error)}). Replay it with "
            "the version of torch in environment.json."
        ) from error


def _line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
