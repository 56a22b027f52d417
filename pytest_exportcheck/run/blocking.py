"""Blocking: the stage that keeps a mode from being judged, and whether the run reports that stage in another item.

A mode is blocked by the first stage that it builds on and that leaves nothing to judge. Every part that needs this (the
runner before it sets a case up, a case before it makes a stage or fuzzes sizes, the outcome of an item) asks this
module.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from pytest_exportcheck.modes import Mode
from pytest_exportcheck.policy import BLOCKING, is_known_layout
from pytest_exportcheck.records import Finding
from pytest_exportcheck.run.journal import Entry
from pytest_exportcheck.run.stage import StageResult


def blocks(stage: StageResult) -> bool:
    """Return True if a mode that builds on this stage cannot be judged."""
    if stage.blocker is not None or stage.interrupted:
        return True
    if stage.mode.is_fuzz:  # it has no record: every program after it does the same
        return any(map(_is_repeated_by_fuzzing, stage.findings))
    return stage.record is None or any(map(_is_wrong, stage.findings))


def blocked(mode: Mode, built_on: Iterable[StageResult | None]) -> StageResult | None:
    """Return the stage of a mode that is blocked by one of the stages that it builds on; None if none of them
    blocks.
    """
    blocker = next((each for each in built_on if each is not None and blocks(each)), None)
    return None if blocker is None else StageResult(mode, blocker=blocker.blocker or blocker)


def interrupted(mode: Mode, entry: Entry | None) -> StageResult | None:
    """Return the stage that an entry of the journal is about, made for ``mode``; None without an entry."""
    return None if entry is None else StageResult(entry.mode or mode, interrupted=f"{entry} {entry.how}")


def reason_of(blocker: StageResult, selected: Collection[Mode]) -> str:
    """Return the reason why a mode is blocked. Empty if no item of the run reports the blocking stage: then the blocked
    item must.
    """
    if blocker.interrupted:
        return f"blocked: {blocker.interrupted}"
    if blocker.refused:
        return f"blocked by {blocker.mode}, which refuses the case as expected"
    return f"blocked by {blocker.mode}" if blocker.mode in selected else ""


def _is_wrong(finding: Finding) -> bool:
    return finding.check in BLOCKING and finding.verdict != "tolerated" and not is_known_layout(finding)


def _is_repeated_by_fuzzing(finding: Finding) -> bool:
    """Return True if every later program has this finding too. Known defects of other kinds are reported once more."""
    return finding.verdict in ("broken", "engine_error") or (finding.verdict == "known" and _is_wrong(finding))
