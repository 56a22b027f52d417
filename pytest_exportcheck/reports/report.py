"""Reports made of outcomes: their counts, whether they are complete, and their summed ledgers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from pytest_exportcheck.modes import Mode
from pytest_exportcheck.records import LedgerTotal, Outcome, Report, Run, RunError, RunSettings, Status


def report_of_runs(
    runs: Sequence[Run],
    items: Iterable[Outcome],
    errors: Iterable[RunError] = (),
    overruled: Iterable[Outcome] = (),
) -> Report:
    """Return a report with everything in order: items by id and run, counts and ledger summed."""
    ordered = tuple(sorted(items, key=_key))
    return Report(
        complete=is_complete(runs, ordered),
        counts=counts_of(ordered),
        runs=tuple(runs),
        errors=tuple(sorted(errors, key=lambda error: (error.nodeid, error.run, error.reason))),
        items=ordered,
        overruled=tuple(sorted(overruled, key=_key)),
        ledger=tuple(_ledger(runs, ordered)),
    )


def is_complete(runs: Sequence[Run], items: Iterable[Outcome]) -> bool:
    """Return whether every item that a run was meant to judge has an outcome, possibly in another run with its
    settings.
    """
    judged = {(item.nodeid, runs[item.run].settings) for item in items}
    return all(
        run.selected is not None and all((nodeid, run.settings) in judged for nodeid in run.not_run) for run in runs
    )


def counts_of(items: Iterable[Outcome]) -> dict[Status, int]:
    """Return the number of items by status, in the order of the legend, without zeros."""
    counts = Counter(item.status for item in items)
    return {status: counts[status] for status in Status if counts[status]}


def _ledger(runs: Sequence[Run], items: Iterable[Outcome]) -> list[LedgerTotal]:
    first: dict[RunSettings, int] = {}
    totals: dict[tuple[int, str, str, str], LedgerTotal] = {}
    for item in items:
        run = first.setdefault(runs[item.run].settings, item.run)
        edge = Mode.parse(item.mode).last
        for line in item.ledger:
            key = (run, item.engine, edge, line.field)
            nothing = LedgerTotal(field=line.field, promised=False, run=run, engine=item.engine, edge=edge)
            totals[key] = totals.get(key, nothing) + line
    return [totals[key] for key in sorted(totals)]


def _key(item: Outcome) -> tuple[str, int]:
    return (item.nodeid, item.run)
