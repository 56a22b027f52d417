"""The comparison of two reports: the items whose results differ, lost metadata, slower captures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pytest_exportcheck.records.results import FieldSurvival, Outcome, Run, RunError

COMPARISON = "exportcheck-comparison"

#: The version of the file that ``exportcheck compare --json`` writes.
#:
#: - 1.0, 28 November 2026: the first version.
COMPARISON_VERSION = "1.0"

ItemChangeKind: TypeAlias = Literal[
    "newly_broken",
    "known_to_broken",  # a known defect explained it, and no longer does
    "broken_differently",  # it failed before too, in other checks or fields
    "fixed",
    "newly_known",  # a known defect of torch that the item did not show before
    "known_gone",  # a known defect of torch that the item no longer shows
    "stale",  # expected to fail, and no longer does
    "newly_expected",  # it fails, as an expectation says
    "engine_error",
    "disagreement",
    "not_judged",  # judged before, and now blocked, unsupported or skipped
    "newly_judged",  # blocked, unsupported or skipped before, and not broken now
]

#: The changes for which ``exportcheck compare`` exits with 1.
BREAKING: frozenset[ItemChangeKind] = frozenset({"newly_broken", "known_to_broken"})


@dataclass(frozen=True, kw_only=True)
class SettingChange:
    """A setting that differs, with its values as text: several if a merged report has several."""

    name: str
    old: str
    new: str


@dataclass(frozen=True, kw_only=True)
class ItemChange:
    """An item whose result differs. ``defects`` are the ids of the known defects that appeared or disappeared."""

    kind: ItemChangeKind
    old: Outcome
    new: Outcome
    defects: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LedgerLoss:
    """A field that an edge loses in more places than before, and in a larger part of them, counted over the items that both reports have."""

    engine: str
    edge: str
    field: str
    promised: bool
    old: FieldSurvival
    new: FieldSurvival


@dataclass(frozen=True, kw_only=True)
class SlowerCapture:
    """A capture that takes longer. ``ratio`` is that of the two times, divided by the ratio of all captures."""

    path: str
    case: str
    stage: str
    old: float
    new: float
    ratio: float


@dataclass(frozen=True, kw_only=True)
class CaptureTimes:
    """The times of the captures that both reports have: their number, and the median of the ratios."""

    number: int = 0
    median: float = 1.0
    slower: tuple[SlowerCapture, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The comparison as a whole. ``compared`` is the number of items that both reports have. ``missing`` are the items
    that only the old report has; of them, ``not_run`` were selected by the new run, which did not reach them. ``errors``
    are failures of the new report that are not items, and that the old one lacks.
    """

    schema: str = COMPARISON
    version: str = COMPARISON_VERSION
    old_runs: tuple[Run, ...]
    new_runs: tuple[Run, ...]
    old_complete: bool
    new_complete: bool
    settings: tuple[SettingChange, ...] = ()
    compared: int = 0
    changes: tuple[ItemChange, ...] = ()
    errors: tuple[RunError, ...] = ()
    losses: tuple[LedgerLoss, ...] = ()
    captures: CaptureTimes = field(default_factory=CaptureTimes)
    missing: tuple[Outcome, ...] = ()
    not_run: tuple[str, ...] = ()
    added: tuple[Outcome, ...] = ()

    def of_kind(self, kind: ItemChangeKind) -> tuple[ItemChange, ...]:
        """Return the changes of one kind."""
        return tuple(change for change in self.changes if change.kind == kind)

    @property
    def newly_broken(self) -> bool:
        """Return True if an item broke, or if the new run has an error that is not an item's."""
        return bool(self.errors) or any(change.kind in BREAKING for change in self.changes)
