"""A stage's findings, the profile and the declared expectations -> the outcome of an item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from packaging.specifiers import SpecifierSet

from pytest_exportcheck.case_run import Stage
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.records import Case, Expectation, Finding, Outcome, Status, Survival


@dataclass(frozen=True, kw_only=True, eq=False)
class Item:
    """What is judged: (case, engine, mode), and the run that it is part of."""

    case: Case
    engine: str
    mode: Mode
    profile: str
    torch_version: str
    selected: frozenset[Mode]
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)


def outcome_of(item: Item, stage: Stage) -> Outcome:
    """The outcome of an item whose mode ended in this stage."""
    if stage.blocker is not None:
        return _blocked(item, stage.blocker)
    if stage.unsupported:
        return _outcome(item, "unsupported", reason=f"unsupported by {item.engine}: {stage.unsupported}")
    return _judged(item, stage)


def _outcome(
    item: Item,
    status: Status,
    *,
    findings: Sequence[Finding] = (),
    reason: str = "",
    ledger: Sequence[Survival] = (),
) -> Outcome:
    return Outcome(
        case=item.case.name,
        engine=item.engine,
        mode=str(item.mode),
        status=status,
        findings=tuple(findings),
        reason=reason,
        notes=item.notes,
        seconds=item.seconds,
        ledger=tuple(ledger),
    )


def _blocked(item: Item, blocker: Stage) -> Outcome:
    """Skipped when the blocking mode reports for itself; else it would go unreported, so this item fails for it."""
    if blocker.unsupported:
        return _outcome(item, "unsupported", reason=f"{blocker.mode} is unsupported: {blocker.unsupported}")
    if blocker.mode in item.selected:
        return _outcome(item, "blocked", reason=f"blocked by {blocker.mode}")
    expectations = _matching(item, blocker.mode)
    if all(_excuses(expectations, finding) or _tolerated(item, finding) for finding in blocker.findings):
        return _outcome(item, "blocked", reason=f"blocked by {blocker.mode}, which fails as expected")
    return _outcome(
        item,
        "failed",
        findings=blocker.findings,
        reason=f"{blocker.mode}, which this mode builds on and which is not part of this run, is broken",
    )


def _judged(item: Item, stage: Stage) -> Outcome:
    expectations = _matching(item, item.mode)
    excused = [finding for finding in stage.findings if _excuses(expectations, finding)]
    rest = [finding for finding in stage.findings if finding not in excused]
    unexcused = [finding for finding in rest if not _tolerated(item, finding)]
    stale = [each for each in expectations if not any(_excuses([each], finding) for finding in excused)]
    ledger = stage.ledger
    if unexcused:
        shown = [*unexcused, *(each for each in rest if each not in unexcused)]
        return _outcome(item, "failed", findings=shown, ledger=ledger)
    if stale:
        return _outcome(item, "stale", findings=stage.findings, reason=_stale_text(stale), ledger=ledger)
    if excused:
        reasons = dict.fromkeys(each.reason for each in expectations)
        return _outcome(item, "expected", findings=stage.findings, reason="; ".join(reasons), ledger=ledger)
    known = [finding for finding in rest if finding.verdict == "known"]
    return _outcome(item, "known" if known else "passed", findings=rest, ledger=ledger)


def _tolerated(item: Item, finding: Finding) -> bool:
    """Lost is reported, never failed; known is a warning for who ships a model, a failure for who builds engines. A program
    that computes something else, or nothing, is nobody's to ship, whoever is at fault."""
    warning = finding.verdict == "known" and item.profile == "ship" and finding.check != "outputs"
    return finding.verdict == "lost" or warning


def _matching(item: Item, mode: Mode) -> list[Expectation]:
    return [
        each
        for each in item.case.expect
        if fnmatchcase(str(mode), each.mode)
        and fnmatchcase(item.engine, each.engine)
        and SpecifierSet(each.torch).contains(item.torch_version, prereleases=True)
    ]


def _excuses(expectations: Sequence[Expectation], finding: Finding) -> bool:
    return finding.verdict != "lost" and any(fnmatchcase(finding.check, each.check) for each in expectations)


def _stale_text(stale: Sequence[Expectation]) -> str:
    return "\n".join(
        f"expected to fail (check {each.check!r}: {each.reason}), and no longer does: "
        f"delete the expect_failure({each.mode!r}, ...) at {each.origin}"
        for each in stale
    )
