"""The comparison of two reports, such as those of two versions of torch.

Items are compared by their id. A merged report may have an id several times, under several settings: the settings of
the two reports are paired so that they differ in as few values as possible.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from statistics import median
from typing import TypeAlias

from pytest_exportcheck.errors import ReportError
from pytest_exportcheck.modes import Mode, parse_stage_name
from pytest_exportcheck.records import FieldSurvival, Finding, Outcome, Report, RunError, RunSettings, Status
from pytest_exportcheck.records.comparison import (
    CaptureTimes,
    Comparison,
    ItemChange,
    ItemChangeKind,
    LedgerLoss,
    SettingChange,
    SlowerCapture,
)
from pytest_exportcheck.reports.json_report import read_report
from pytest_exportcheck.reports.lines import count

#: A capture is slower if it takes this many times as long as before, and this many seconds longer, on a machine that is
#: as fast as before: a single time of less than a second says little.
RATIO, SECONDS = 2.0, 1.0
#: The number of captures whose median ratio says how fast the machine is.
ENOUGH_CAPTURES = 5

_Items: TypeAlias = Mapping[tuple[str, RunSettings], Outcome]
_Pairs: TypeAlias = Sequence[tuple[Outcome, Outcome]]


def compare_files(old: Path, new: Path) -> Comparison:
    """Read two reports and compare them.

    Raises
    ------
    ReportError
        For a file that is not a report of this version, for the same report twice, and for reports of other items.
    """
    before = read_report(old)
    after = before if old.exists() and new.exists() and old.samefile(new) else read_report(new)
    if before.runs and before.runs == after.runs:
        raise ReportError(
            f"{old} and {new} are reports of the same run. Name the report of before, then the report of after."
        )
    found = compared(before, after)
    for path, report in ((old, before), (new, after)):
        if not report.items and not found.errors:
            raise ReportError(f"{path} has no item, so that nothing can be compared. Run the checks again.")
    if not found.compared and not found.errors:
        raise ReportError(
            f"the reports have no item in common: {old} has {_some(before)}, {new} has {_some(after)}. "
            "Run the same cases in the same modes, from the same folder."
        )
    return found


def _some(report: Report) -> str:
    more = f" and {count(len(report.items) - 1, 'more item')}" if len(report.items) > 1 else ""
    return f"{report.items[0].nodeid}{more}"


def compared(old: Report, new: Report) -> Comparison:
    """Compare two reports."""
    partners = _paired_settings(old, new)
    before, after = _by_id(old), _by_id(new)
    pairs = [
        (item, after[nodeid, partners[settings]])
        for (nodeid, settings), item in before.items()
        if settings in partners and (nodeid, partners[settings]) in after
    ]
    paired = {id(each) for pair in pairs for each in pair}
    missing = tuple(item for item in old.items if id(item) not in paired)
    left = {nodeid for run in new.runs for nodeid in run.not_run}
    return Comparison(
        old_runs=old.runs,
        new_runs=new.runs,
        old_complete=old.complete,
        new_complete=new.complete,
        settings=tuple(_setting_changes(old, new)),
        compared=len(pairs),
        changes=tuple(change for pair in pairs if (change := change_of(*pair))),
        errors=tuple(_new_errors(old, new)),
        losses=tuple(_losses(pairs)),
        captures=capture_times(pairs),
        missing=missing,
        not_run=tuple(item.nodeid for item in missing if item.nodeid in left),
        added=tuple(item for item in new.items if id(item) not in paired),
    )


def _by_id(report: Report) -> _Items:
    return {(item.nodeid, report.runs[item.run].settings): item for item in report.items}


def _paired_settings(old: Report, new: Report) -> Mapping[RunSettings, RunSettings]:
    """Pair the settings of the runs: those that differ in the fewest values first, each once."""
    before, after = (list(dict.fromkeys(run.settings for run in report.runs)) for report in (old, new))
    candidates = [(_distance(one, other), n, m) for n, one in enumerate(before) for m, other in enumerate(after)]
    found: dict[RunSettings, RunSettings] = {}
    for _, n, m in sorted(candidates):
        if before[n] not in found and after[m] not in found.values():
            found[before[n]] = after[m]
    return found


def _distance(one: RunSettings, other: RunSettings) -> int:
    return sum(getattr(one, each.name) != getattr(other, each.name) for each in fields(RunSettings))


def _setting_changes(old: Report, new: Report) -> Iterator[SettingChange]:
    for each in fields(RunSettings):
        before, after = (_values(report, each.name) for report in (old, new))
        if before != after:
            yield SettingChange(name=each.name, old=before, new=after)


def _values(report: Report, name: str) -> str:
    values = (getattr(run.settings, name) for run in report.runs)
    texts = (", ".join(value) or "nothing" if isinstance(value, tuple) else str(value) for value in values)
    return " and ".join(sorted(dict.fromkeys(texts)))


def _new_errors(old: Report, new: Report) -> Iterator[RunError]:
    known = {error.nodeid for error in old.errors}
    yield from (error for error in new.errors if error.nodeid not in known)


# --- items ----------------------------------------------------------------------------------


def change_of(old: Outcome, new: Outcome) -> ItemChange | None:
    """Return the change of one item; None where its result is the same."""
    appeared = tuple(sorted(_defects(new) - _defects(old)))
    gone = tuple(sorted(_defects(old) - _defects(new)))
    kind = _kind(old, new, appeared=bool(appeared), gone=bool(gone))
    defects = {"newly_known": appeared, "known_gone": gone, "known_to_broken": gone}.get(kind or "", ())
    return ItemChange(kind=kind, old=old, new=new, defects=defects) if kind else None


#: Statuses that an item can gain without being broken -> the kind of the change.
_GAINED: Mapping[Status, ItemChangeKind] = {
    Status.STALE: "stale",
    Status.EXPECTED: "newly_expected",
    Status.ENGINE_ERROR: "engine_error",
    Status.DISAGREEMENT: "disagreement",
}


def _kind(old: Outcome, new: Outcome, *, appeared: bool, gone: bool) -> ItemChangeKind | None:
    if is_broken(new):
        if is_broken(old):
            return "broken_differently" if reason_of(old) != reason_of(new) else None
        return "known_to_broken" if old.status is Status.KNOWN else "newly_broken"
    if new.status in _GAINED and new.status is not old.status:
        return _GAINED[new.status]
    if appeared and new.status.judged:
        return "newly_known"
    if old.status.judged and not new.status.judged:
        return "not_judged"
    if is_broken(old):
        return "fixed" if new.status.judged else None
    if new.status.judged and not old.status.judged:
        return "newly_judged"
    return "known_gone" if gone and new.status.judged else None


def is_broken(item: Outcome) -> bool:
    """Return True if an item fails for another reason than an expectation that no longer holds."""
    return item.status.fails and item.status is not Status.STALE


def reason_of(item: Outcome) -> object:
    """Return the reason why an item fails, independent of names of nodes and of values: status, checks, fields, and
    classes of errors.
    """
    return (item.status, frozenset(map(_sort, item.failing_findings)) or item.reason.partition("\n")[0])


def _sort(finding: Finding) -> tuple[str, ...]:
    raised = finding.actual.partition(":")[0] if finding.change == "raised" else ""
    return (*finding.sort, raised)


def _defects(item: Outcome) -> set[str]:
    return {each.known_as for each in item.findings if each.verdict == "known" and each.known_as}


# --- the preservation ledger ----------------------------------------------------------------


def _losses(pairs: _Pairs) -> Iterator[LedgerLoss]:
    """Yield the fields that an edge loses in more places than before, over the items that have a ledger in both."""
    pairs = [(one, other) for one, other in pairs if one.ledger and other.ledger]
    before, after = _summed([one for one, _ in pairs]), _summed([other for _, other in pairs])
    for (engine, edge, name), old in sorted(before.items()):
        new = after.get((engine, edge, name), FieldSurvival(field=name, promised=False))
        if _is_loss(old, new):
            promised = old.promised or new.promised
            yield LedgerLoss(engine=engine, edge=edge, field=name, promised=promised, old=old, new=new)


def _summed(items: Sequence[Outcome]) -> dict[tuple[str, str, str], FieldSurvival]:
    totals: dict[tuple[str, str, str], FieldSurvival] = {}
    for item in items:
        for line in item.ledger:
            key = (item.engine, Mode.parse(item.mode).last, line.field)
            totals[key] = totals[key] + line if key in totals else line
    return totals


def _is_loss(old: FieldSurvival, new: FieldSurvival) -> bool:
    """Return True if more places lose the field than before, and a larger part of them; or if no place has it any
    more, because an earlier stage lost it. A program with fewer nodes has fewer places.
    """
    if not new.before:
        return bool(old.kept)
    return new.before - new.kept > old.before - old.kept and new.kept * old.before < old.kept * new.before


# --- the times of captures ------------------------------------------------------------------


def capture_times(pairs: _Pairs) -> CaptureTimes:
    """Compare the times of captures. The median ratio of all is the speed of the machine, if there are enough."""
    before, after = _captures([one for one, _ in pairs]), _captures([other for _, other in pairs])
    both = [key for key in before if key in after and before[key] > 0]
    if not both:
        return CaptureTimes()
    ratio = median(after[key] / before[key] for key in both)
    speed = ratio if len(both) >= ENOUGH_CAPTURES else 1.0
    slower = [
        SlowerCapture(
            path=path,
            case=case,
            stage=stage,
            old=before[path, case, stage],
            new=after[path, case, stage],
            ratio=after[path, case, stage] / before[path, case, stage] / speed,
        )
        for path, case, stage in both
    ]
    chosen = [each for each in slower if each.ratio >= RATIO and each.new / speed - each.old >= SECONDS]
    ordered = sorted(chosen, key=lambda each: (each.old - each.new / speed, each.path, each.case))
    return CaptureTimes(number=len(both), median=ratio, slower=tuple(ordered))


def _captures(items: Sequence[Outcome]) -> dict[tuple[str, str, str], float]:
    """Return the seconds of every stage without an edge, by path and name of the case, and name of the stage."""
    return {
        (item.path, item.case, stage): seconds
        for item in items
        for stage, seconds in item.seconds.items()
        if parse_stage_name(stage)[1].depth == 1
    }


def without_findings(comparison: Comparison) -> Comparison:
    """Return the comparison with the items of only one report reduced to their ids and statuses, for a file."""

    def bare(item: Outcome) -> Outcome:
        return replace(item, findings=(), failing=0, notes=(), ledger=(), seconds={})

    return replace(comparison, missing=tuple(map(bare, comparison.missing)), added=tuple(map(bare, comparison.added)))
