"""The verdicts on items: a stage's findings, the profile and the declared expectations make a judgement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pytest_exportcheck.expectations.entry import excuses, names_item
from pytest_exportcheck.modes import AGREE, Mode
from pytest_exportcheck.policy import KNOWN, is_known_layout
from pytest_exportcheck.records import (
    Case,
    Expectation,
    ExpectationMatch,
    FieldSurvival,
    Finding,
    Judgement,
    Outcome,
    SizesTried,
    Status,
)
from pytest_exportcheck.records.results import Fact
from pytest_exportcheck.run.blocking import reason_of
from pytest_exportcheck.run.stage import StageResult

_ALWAYS_FAILING = frozenset(row.id for row in KNOWN if row.always_fails)


@dataclass(frozen=True, kw_only=True, eq=False)
class ItemContext:
    """The item to judge: (case, engine, mode), and the run that it is part of."""

    case: Case
    engine: str
    mode: Mode
    profile: str
    torch_version: str
    selected: frozenset[Mode]
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Fact] = field(default_factory=dict)
    examples: int = 0


def judgement_of(item: ItemContext, stage: StageResult) -> Judgement:
    """Judge an item whose mode ended in this stage."""
    if stage.blocker is not None:
        return _blocked(item, stage.blocker)
    if stage.unsupported:
        by = "" if item.engine == AGREE else f"unsupported by {stage.unsupported_by or item.engine}: "
        return _judgement(item, Status.UNSUPPORTED, reason=f"{by}{stage.unsupported}")
    return _judged(item, stage)


def not_set_up(item: ItemContext, message: str, first: str) -> Judgement:
    """Judge an item whose case could not be set up. The first item of the case to run reports it (``first`` is empty);
    the others are blocked by it.
    """
    if first:
        return _judgement(item, Status.BLOCKED, reason=f"blocked: the case could not be set up (see {first})")
    finding = Finding.of("case").at("set-up", "raised", "", "a module that runs on its example inputs", message)
    reckoning = _reckoned(item, item.mode, [finding], may_be_stale=False)
    if reckoning.unexcused:
        return _judgement(item, Status.ERROR, findings=[finding], reason=message, reckoning=reckoning)
    return _judgement(item, Status.EXPECTED, findings=[finding], reason=_reasons(reckoning), reckoning=reckoning)


def _judgement(
    item: ItemContext,
    status: Status,
    *,
    findings: Sequence[Finding] = (),
    reason: str = "",
    ledger: Sequence[FieldSurvival] = (),
    sizes: SizesTried | None = None,
    reckoning: ExpectationMatch | None = None,
) -> Judgement:
    failing = reckoning.unexcused if reckoning and status.fails else ()
    outcome = Outcome(
        case=item.case.name,
        engine=item.engine,
        mode=str(item.mode),
        status=status,
        findings=(*failing, *(each for each in findings if each not in failing)),
        failing=len(failing),
        reason=reason,
        notes=item.notes,
        seconds=item.seconds,
        facts=item.facts,
        examples=item.examples,
        ledger=tuple(ledger),
        sizes=sizes,
    )
    return Judgement(outcome=outcome, reckoning=reckoning)


def _blocked(item: ItemContext, blocker: StageResult) -> Judgement:
    """Judge a blocked item: skipped when the blocking mode reports for itself; else the item fails, so that the fault
    is reported.
    """
    if blocker.unsupported:
        return _judgement(item, Status.UNSUPPORTED, reason=f"{blocker.mode} is unsupported: {blocker.unsupported}")
    reason = reason_of(blocker, item.selected)
    if item.engine == AGREE and not blocker.interrupted:
        reason = "blocked: an engine has no program to compare"
    if reason:
        return _judgement(item, Status.BLOCKED, reason=reason)
    reckoning = _reckoned(item, blocker.mode, blocker.findings, may_be_stale=False)
    if not reckoning.unexcused:
        engine_failed = any(finding.verdict == "engine_error" for finding in blocker.findings)
        how = "where the engine itself fails" if engine_failed and not reckoning.excused else "which fails as expected"
        return _judgement(item, Status.BLOCKED, reason=f"blocked by {blocker.mode}, {how}")
    return _judgement(
        item,
        Status.FAILED,
        findings=blocker.findings,
        reason=f"{blocker.mode} is broken; this mode builds on it, and it is not part of this run",
        reckoning=reckoning,
    )


def _judged(item: ItemContext, stage: StageResult) -> Judgement:
    reckoning = _reckoned(item, item.mode, stage.findings)
    excused = [finding for _, finding in reckoning.excused]
    rest = [finding for finding in stage.findings if finding not in excused]
    if any(each.check == "case" for each in reckoning.unexcused):
        return _judgement(item, Status.ERROR, findings=rest, reason=reckoning.unexcused[0].actual, reckoning=reckoning)
    if reckoning.unexcused:
        return _judgement(
            item, Status.FAILED, findings=rest, ledger=stage.ledger, sizes=stage.sizes, reckoning=reckoning
        )
    status, reason = Status.PASSED, ""
    if reckoning.stale:
        status, reason = Status.STALE, _stale_text(reckoning.stale)
    elif excused:
        status, reason = Status.EXPECTED, _reasons(reckoning)
    elif any(finding.verdict == "engine_error" for finding in rest):
        status = Status.ENGINE_ERROR
    elif any(finding.verdict == "disagreement" for finding in rest):
        status = Status.DISAGREEMENT
    elif any(finding.verdict == "known" for finding in rest):
        status = Status.KNOWN
    return _judgement(
        item,
        status,
        findings=stage.findings,
        reason=reason,
        ledger=stage.ledger,
        sizes=stage.sizes,
        reckoning=reckoning,
    )


def _reckoned(
    item: ItemContext, mode: Mode, findings: Sequence[Finding], *, may_be_stale: bool = True
) -> ExpectationMatch:
    """Return the findings about a mode, compared with the expectations on it."""
    entries = [
        each
        for each in item.case.expect
        if names_item(each, engine=item.engine, mode=str(mode), torch_version=item.torch_version)
    ]
    pairs = [(each, finding) for finding in findings for each in entries if excuses(each, finding)]
    excused = [finding for _, finding in pairs]
    used = [each for each, _ in pairs]
    return ExpectationMatch(
        mode=str(mode),
        unexcused=tuple(each for each in findings if each not in excused and not _tolerated(item, each)),
        excused=tuple(pairs),
        stale=tuple(each for each in entries if each not in used) if may_be_stale else (),
    )


def _tolerated(item: ItemContext, finding: Finding) -> bool:
    """Return True if the item does not fail for the finding.

    A known finding and an engine error are warnings under the profile ``ship``, failures under ``conformance``. Wrong
    outputs always fail, even when a known defect causes them; right values with other strides are a warning, and so
    are wrong ones for inputs that the case does not declare.
    Outputs of an engine error are not those of a program to ship. Two engines that disagree are a warning like an engine
    error.
    """
    if finding.verdict == "known" and finding.between:
        return item.profile == "ship"
    if finding.verdict == "known":
        excusable = finding.check != "outputs" or is_known_layout(finding) or bool(finding.undeclared)
        return item.profile == "ship" and excusable and finding.known_as not in _ALWAYS_FAILING
    warnings = ("engine_error", "disagreement") if item.profile == "ship" else ()
    return finding.verdict in ("tolerated", *warnings)


def _reasons(reckoning: ExpectationMatch) -> str:
    return "; ".join(dict.fromkeys(entry.reason for entry, _ in reckoning.excused))


def _stale_text(stale: Sequence[Expectation]) -> str:
    return "\n".join(
        f"expected to fail (check {each.check!r}: {each.reason}), but no longer does: delete the {each.place}"
        + (", or narrow it to the items that still fail" if each.names_several else "")
        for each in stale
    )
