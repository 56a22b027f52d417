"""The report as data: what ``--exportcheck-json`` writes and ``exportcheck merge`` joins. docs/report.md explains it.

The version is ``major.minor``. A minor adds fields or values: readers ignore what they do not know. Anything else is a
new major, which readers refuse.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from pytest_exportcheck.modes import Mode
from pytest_exportcheck.reports.terminal import SIGNS

SCHEMA = "exportcheck-report"
MAJOR, MINOR = 1, 2
FAILING = ("error", "failed", "stale", "interrupted")
"""The statuses that make a run red, worst first. A status that nobody knows is one of them too."""
HARMLESS = ("gap", "known", "expected", "passed")
NOT_JUDGED = ("blocked", "unsupported", "skipped")


class Settings(msgspec.Struct, kw_only=True, frozen=True):
    """What a verdict depends on. Two runs with equal settings speak of the same thing."""

    exportcheck: str
    torch: str
    python: str
    platform: str
    profile: str
    seed: int
    threads: int
    allow: tuple[str, ...] = ()
    forbid: tuple[str, ...] = ()


class Run(msgspec.Struct, kw_only=True, frozen=True):
    """One session of pytest. ``seconds`` is how long it took; ``exit_status`` pytest's own, null where the session was
    killed; ``stopped`` why it ended early. ``selected`` is the number of items that it meant to run, null where nobody
    learned it; ``not_run`` are the ids of those that have no outcome."""

    settings: Settings
    engines: tuple[str, ...]
    modes: tuple[str, ...]
    started: datetime
    seconds: float = 0.0
    exit_status: int | None = None
    stopped: str = ""
    selected: int | None = None
    not_run: tuple[str, ...] = ()


class FindingReport(msgspec.Struct, kw_only=True, frozen=True):
    """One difference: every field of ``records.Finding``. ``fails``: the item fails for it (since 1.2; before, of every one)."""

    check: str
    place: str
    kind: str
    expected: str
    actual: str
    field: str = ""
    verdict: str = "broken"
    detail: str = ""
    line: str = ""
    known_as: str = ""
    fault_of: str = ""
    on: tuple[str, ...] = ()
    fails: bool = True


class LedgerLine(msgspec.Struct, kw_only=True, frozen=True):
    """What became of one field over the last edge of an item: numbers of places. They had it before in
    ``kept + changed + dropped`` places; ``gained`` have it only after."""

    field: str
    promised: bool = True
    kept: int = 0
    changed: int = 0
    dropped: int = 0
    gained: int = 0


class ItemReport(msgspec.Struct, kw_only=True, frozen=True):
    """One (case, engine, mode). ``run`` is an index into the report's runs; ``file`` and ``line`` tell where the case is
    declared (0: no line). ``seconds`` has the stages that were made for this item and not shared from an earlier one;
    ``duration`` is the item as a whole, in seconds."""

    nodeid: str
    run: int = 0
    path: str
    case: str
    engine: str
    mode: str
    status: str
    reason: str = ""
    file: str = ""
    line: int = 0
    findings: tuple[FindingReport, ...] = ()
    notes: tuple[str, ...] = ()
    ledger: tuple[LedgerLine, ...] = ()
    seconds: dict[str, float] = {}
    duration: float = 0.0
    worker: str = ""

    @property
    def key(self) -> tuple[str, int]:
        return (self.nodeid, self.run)


class ErrorReport(msgspec.Struct, kw_only=True, frozen=True):
    """What failed and is no item: a file that could not be imported, a wrong declaration, a worker that crashed."""

    nodeid: str
    run: int = 0
    reason: str


class LedgerTotal(LedgerLine, kw_only=True, frozen=True):
    """The ledger of one engine and one edge (or capture), summed over items, of all runs with the settings of ``run``."""

    run: int = 0
    engine: str
    edge: str


class Report(msgspec.Struct, kw_only=True, frozen=True):
    """The whole file. ``overruled`` is empty but for merged files: outcomes that a worse one of the same item stands for."""

    schema: str = SCHEMA
    version: str = f"{MAJOR}.{MINOR}"
    complete: bool
    counts: dict[str, int]
    runs: tuple[Run, ...]
    errors: tuple[ErrorReport, ...] = ()
    items: tuple[ItemReport, ...] = ()
    overruled: tuple[ItemReport, ...] = ()
    ledger: tuple[LedgerTotal, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether an item or anything else failed, or items are missing."""
        return bool(self.errors) or not self.complete or any(is_failing(each.status) for each in self.items)


def is_failing(status: str) -> bool:
    """Whether an item of this status fails its run."""
    return status not in (*HARMLESS, *NOT_JUDGED)


def report_of_runs(
    runs: Sequence[Run],
    items: Iterable[ItemReport],
    errors: Iterable[ErrorReport] = (),
    overruled: Iterable[ItemReport] = (),
) -> Report:
    """A report with everything in order: items by id and run, counts and ledger summed up."""
    ordered = tuple(sorted(items, key=lambda item: item.key))
    return Report(
        complete=is_complete(runs, ordered),
        counts=counts_of(ordered),
        runs=tuple(runs),
        errors=tuple(sorted(errors, key=lambda error: (error.nodeid, error.run, error.reason))),
        items=ordered,
        overruled=tuple(sorted(overruled, key=lambda item: item.key)),
        ledger=tuple(_ledger(runs, ordered)),
    )


def is_complete(runs: Sequence[Run], items: Iterable[ItemReport]) -> bool:
    """Whether every item that a run was meant to judge has an outcome, if need be of another run with its settings."""
    judged = {(item.nodeid, runs[item.run].settings) for item in items}
    return all(
        run.selected is not None and all((nodeid, run.settings) in judged for nodeid in run.not_run) for run in runs
    )


def counts_of(items: Iterable[ItemReport]) -> dict[str, int]:
    """Status -> number of items, in the order of the terminal's legend, without zeros."""
    counts = Counter(item.status for item in items)
    return {status: counts[status] for status in dict.fromkeys((*SIGNS, *sorted(counts))) if counts[status]}


def _ledger(runs: Sequence[Run], items: Iterable[ItemReport]) -> list[LedgerTotal]:
    first: dict[Settings, int] = {}
    totals: dict[tuple[int, str, str, str], LedgerTotal] = {}
    for item in items:
        run = first.setdefault(runs[item.run].settings, item.run)
        edge = Mode.parse(item.mode).last
        for line in item.ledger:
            key = (run, item.engine, edge, line.field)
            before = totals.get(key) or LedgerTotal(
                field=line.field, promised=False, run=run, engine=item.engine, edge=edge
            )
            totals[key] = msgspec.structs.replace(
                before,
                promised=before.promised or line.promised,
                kept=before.kept + line.kept,
                changed=before.changed + line.changed,
                dropped=before.dropped + line.dropped,
                gained=before.gained + line.gained,
            )
    return [totals[key] for key in sorted(totals)]
