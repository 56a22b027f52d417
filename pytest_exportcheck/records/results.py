"""Results: outcomes of items, and the report that ``--exportcheck-json`` writes and ``exportcheck merge`` joins.

msgspec writes and reads these classes as they are; docs/report.md explains the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeAlias, TypeVar

from pytest_exportcheck.records.cases import Expectation
from pytest_exportcheck.records.findings import Finding
from pytest_exportcheck.records.status import Status

SCHEMA = "exportcheck-report"

#: The version of the report. A minor version adds fields or values; a major version changes or removes some.
#:
#: - 2.4, 28 November 2026: an origin has ``remarks``; items of golden programs.
#: - 2.3, 28 November 2026: an item has ``facts``.
#: - 2.2, 28 November 2026: an item has ``sizes`` and ``reproduce``; an origin has ``near_before`` and ``near_after``; an item
#:   says how many ``examples`` fuzzing tried.
#: - 2.1, 28 November 2026: the status and the verdict ``disagreement``; a finding has ``between`` and ``culprit``.
#: - 2.0, 28 November 2026: a finding has every field of :class:`Finding` and no longer ``fails``, instead an item says how
#:   many of its findings are ``failing``; the status and the verdict ``gap`` are called ``engine_error``, the verdict ``lost`` ``tolerated``.
#: - 1.2, 28 November 2026: a finding says whether the item ``fails`` for it.
#: - 1.1, 24 November 2026: the status and the verdict ``gap``, and ``fault_of`` of a finding.
#: - 1.0, 23 November 2026: the first version.
MAJOR, MINOR = 2, 4

#: A fact about what a runtime made: bytes, seconds, numbers of nodes, errors, names.
Fact: TypeAlias = int | float | str

_AnySurvival = TypeVar("_AnySurvival", bound="FieldSurvival")


@dataclass(frozen=True, kw_only=True)
class FieldSurvival:
    """A line of the preservation ledger: the numbers of places where an edge kept, changed or dropped one field.

    ``promised``: whether the tables judge the field at all; most metadata that a capture adds for its own use is not
    judged.
    """

    field: str
    promised: bool = True
    kept: int = 0
    changed: int = 0
    dropped: int = 0
    gained: int = 0

    @property
    def before(self) -> int:
        """Return the number of places that had the field before the edge."""
        return self.kept + self.changed + self.dropped

    def __add__(self: _AnySurvival, other: FieldSurvival) -> _AnySurvival:
        return replace(
            self,
            promised=self.promised or other.promised,
            kept=self.kept + other.kept,
            changed=self.changed + other.changed,
            dropped=self.dropped + other.dropped,
            gained=self.gained + other.gained,
        )


@dataclass(frozen=True, kw_only=True)
class SizesTried:
    """The sizes that fuzzing tried, as rows: one size for each of ``names``. With the ``agreed`` ones the program did what
    eager did, with the ``failing`` ones it raised or computed something else, and ``invalid`` ones eager itself refused.
    Of many rows some are ``left_out``. ``refused`` and ``accepted`` are what the program did with sizes that are not
    declared, by the way in which they are not.
    """

    names: tuple[str, ...]
    agreed: tuple[tuple[int, ...], ...] = ()
    failing: tuple[tuple[int, ...], ...] = ()
    invalid: tuple[tuple[int, ...], ...] = ()
    left_out: int = 0
    refused: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of one item, (case, engine, mode): the shape of an item in every report.

    The first ``failing`` of the ``findings`` are those for which the item fails. ``seconds`` has the stages that were
    made for this item and not shared from an earlier one; ``duration`` is that of the item as a whole. ``examples`` is
    the number of examples that fuzzing tried. ``file`` and
    ``line`` say where the case is declared (0: no line). ``nodeid`` and ``path`` are empty where no pytest item has
    this outcome, as in the fixture; ``run`` is an index into the report's runs. ``sizes`` are those of an item that fuzzes
    sizes, ``reproduce`` is the command that runs a failed item again; ``facts`` are about the package of a runtime: sizes,
    versions, errors.
    """

    nodeid: str = ""
    run: int = 0
    path: str = ""
    case: str
    engine: str
    mode: str
    status: Status
    reason: str = ""
    file: str = ""
    line: int = 0
    findings: tuple[Finding, ...] = ()
    failing: int = 0
    notes: tuple[str, ...] = ()
    ledger: tuple[FieldSurvival, ...] = ()
    sizes: SizesTried | None = None
    reproduce: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Fact] = field(default_factory=dict)
    duration: float = 0.0
    examples: int = 0
    worker: str = ""

    @property
    def failing_findings(self) -> tuple[Finding, ...]:
        """Return the findings for which the item fails: without those that are tolerated, known or excused."""
        return self.findings[: self.failing]


@dataclass(frozen=True, kw_only=True)
class ExpectationMatch:
    """Findings compared with expected failures. ``mode`` is the one that the findings are about: the item's own, or the
    one that blocks it; ``stale`` are expectations that name the item and excused nothing.
    """

    mode: str
    unexcused: tuple[Finding, ...] = ()
    excused: tuple[tuple[Expectation, Finding], ...] = ()
    stale: tuple[Expectation, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """An outcome with data that only the process that ran the item needs. ``statistics`` are hypothesis's of its
    examples.
    """

    outcome: Outcome
    reckoning: ExpectationMatch | None = None
    statistics: str = ""


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """The settings that a verdict depends on. Two runs with equal settings are comparable."""

    exportcheck: str
    torch: str
    python: str
    platform: str
    profile: str
    seed: int
    threads: int
    allow: tuple[str, ...] = ()
    forbid: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Run:
    """One session of pytest. ``seconds`` is how long it took; ``exit_status`` pytest's own, None where the session was
    killed; ``stopped`` why it ended early. ``selected`` is the number of items that it meant to run, None where that is
    not known; ``not_run`` are the ids of those that have no outcome.
    """

    settings: RunSettings
    engines: tuple[str, ...]
    modes: tuple[str, ...]
    started: datetime
    seconds: float = 0.0
    exit_status: int | None = None
    stopped: str = ""
    selected: int | None = None
    not_run: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunError:
    """A failure that belongs to no item: a file that could not be imported, a declaration, a teardown."""

    nodeid: str
    run: int = 0
    reason: str


@dataclass(frozen=True, kw_only=True)
class LedgerTotal(FieldSurvival):
    """The ledger of one engine and edge, summed over the items of all runs with the settings of ``run``."""

    run: int = 0
    engine: str
    edge: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """The report as a whole. ``overruled`` are outcomes that a worse one of the same item replaces; only merged reports
    have them.
    """

    schema: str = SCHEMA
    version: str = f"{MAJOR}.{MINOR}"
    complete: bool
    counts: Mapping[Status, int]
    runs: tuple[Run, ...]
    errors: tuple[RunError, ...] = ()
    items: tuple[Outcome, ...] = ()
    overruled: tuple[Outcome, ...] = ()
    ledger: tuple[LedgerTotal, ...] = ()

    @property
    def failed(self) -> bool:
        """Return True if an item or anything else failed, or items are missing."""
        return bool(self.errors) or not self.complete or any(each.status.fails for each in self.items)
