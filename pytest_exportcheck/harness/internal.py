"""Failures of the plugin at its own work.

They are separate findings, never a stage that raised: they name the file and line of the plugin, ask for a report, and
leave everything else about the stage judged.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch

from pytest_exportcheck.errors import ExportcheckError
from pytest_exportcheck.harness.isolation import raised_from
from pytest_exportcheck.records import Finding

_T = TypeVar("_T")

CHECK, PLUGIN = "internal", "pytest-exportcheck"

_NO_MEMORY = (MemoryError, torch.OutOfMemoryError)
_PACKAGE = Path(__file__).parents[1]
#: The parts of the package that are the own work of an engine or of a runtime.
_ENGINES = ("engines", "reference", "runtimes")


class Attempts:
    """The attempts to read the parts of an artifact, each by itself, and the failures among them."""

    def __init__(self) -> None:
        self._failed: list[Finding] = []

    def at(self, what: str, act: Callable[[], _T], otherwise: _T) -> _T:
        """Return what ``act`` returns; ``otherwise`` where it raises, which is recorded as a failure at ``what``."""
        try:
            return act()
        except _NO_MEMORY:
            raise
        except Exception as error:
            self._failed.append(internal_finding(what, error))
            return otherwise

    def failed(self) -> list[Finding]:
        """Return the failures since the last call, each once."""
        failed, self._failed = dict.fromkeys(self._failed), []
        return list(failed)


def call_foreign(step: Callable[..., _T], *args: Any) -> _T:
    """Call foreign code: an engine, or code of the user. Its errors are not the plugin's."""
    return step(*args)


def leaves_a_gap(finding: Finding) -> bool:
    """Return True if a failure leaves something out of a record, so that later stages cannot be compared with it."""
    return finding.check == CHECK and finding.place not in _WHOLE


#: Failures that leave the record of a stage whole.
EDITS, LEDGER = "whether the input program is edited", "the ledger"
_WHOLE = (EDITS, LEDGER)


def is_own(error: BaseException) -> bool:
    """Return True if an error comes out of the plugin's own frames: the innermost frame of the package is not an
    engine's, nor the call of one, and the plugin does not raise the error on purpose.
    """
    if isinstance(error, (ExportcheckError, SystemExit, *_NO_MEMORY)):
        return False
    frame = _innermost(error)
    if frame is None or frame.name == call_foreign.__name__:
        return False
    return Path(frame.filename).relative_to(_PACKAGE).parts[0] not in _ENGINES


def internal_finding(what: str, error: BaseException) -> Finding:
    """Return the finding for a failure of the plugin at ``what``, such as ``the state of the module``."""
    frame = _innermost(error)
    where = (
        f"{Path(frame.filename).relative_to(_PACKAGE.parent)}:{frame.lineno} in {frame.name}" if frame else "unknown"
    )
    return Finding(
        check=CHECK,
        place=what,
        change="failed",
        expected=f"{PLUGIN} examines it without an error",
        actual=str(raised_from(error)),
        detail=f"at {where}\nThis is a defect of {PLUGIN}, not of the model and not of torch: please report it with this text.",
        verdict="engine_error",
        fault_of=PLUGIN,
    )


def _innermost(error: BaseException) -> traceback.FrameSummary | None:
    """Return the innermost frame of the package."""
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame for frame in reversed(frames) if _PACKAGE in Path(frame.filename).parents), None)
