"""Attribution of findings: a finding that only an engine with a second opinion has is a defect of that engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pytest_exportcheck.engines.protocol import Engine
from pytest_exportcheck.harness.internal import CHECK as INTERNAL
from pytest_exportcheck.modes import FUZZ, Mode, ModeTree
from pytest_exportcheck.records import Finding, Identity, KnownAs
from pytest_exportcheck.run.stage import OBJECTION, StageResult

#: The engine that users ship with. The other bundled engine gives a second opinion on it.
FIRST = "torch"

#: The edge at which another engine reads a file, and the edge of the first engine that writes and reads the same file
#: by itself.
_READ_BY_ANOTHER, _READ_BY_ITSELF = "interop", "serdes"


def is_second_opinion(engine: Engine | None) -> bool:
    """Return True if an engine declares that it gives a second opinion: it has ``default_modes`` or ``refusals``."""
    return engine is not None and bool(engine.default_modes or engine.refusals)


def suspects(engine: Engine, stage: StageResult, engines: Mapping[str, Engine]) -> list[str]:
    """Return, for each finding of a stage, the engine with a second opinion that may be at fault; an empty string if
    there is none.

    All stages of such an engine are its work. Of other engines, the edge ``interop`` is the work of the reader.
    """
    if not any(is_second_opinion(each) for each in engines.values()):
        return [""] * len(stage.findings)
    return [_suspect(engine, stage, finding, engines) for finding in stage.findings]


def _suspect(engine: Engine, stage: StageResult, finding: Finding, engines: Mapping[str, Engine]) -> str:
    if not _fails(finding) or finding.check in ("case", INTERNAL) or finding.key == OBJECTION:
        return ""
    if is_second_opinion(engine):
        return engine.name
    if stage.mode.edge != _READ_BY_ANOTHER:
        return ""
    other, separator, _ = finding.place.partition(": ")
    reader = other if separator and other in engines else stage.reader
    return reader if is_second_opinion(engines.get(reader)) else ""


def judging_modes(mode: Mode, first: Engine) -> Iterator[Mode]:
    """Yield the modes in which the first engine can judge a mode of another engine, the best one first: the same mode,
    then the modes that this mode builds on. A file that another engine reads is judged by how the first engine reads
    its own file.
    """
    stages = tuple(_READ_BY_ITSELF if stage == _READ_BY_ANOTHER else stage for stage in mode.stages)
    tree = ModeTree.of(first.captures, (*first.edges, FUZZ))
    yield from filter(tree.has, Mode(stages).prefixes())


def can_judge(stage: StageResult) -> bool:
    """Return True if the first engine came to a result that can be compared, or failed where it must not."""
    if stage.unsupported:
        return False
    return stage.record is not None or not stage.findings or any(_fails(each) for each in stage.findings)


def attributed(
    findings: Sequence[Finding], at_fault: Sequence[str], first: StageResult, *, same_mode: bool
) -> list[Finding]:
    """Return the findings; those that the first engine does not share become errors of the engine at fault.

    The findings are not changed where the first engine fails before it has anything to compare, and where one of the
    engines raises and the other one fails: a refusal is another way to report the same model.
    """
    shared = [each for each in first.findings if _fails(each) and each.check != INTERNAL]
    compared = first.record is not None or first.mode.is_fuzz
    raised = any(each.check == "stage" and each.change == "raised" for each in findings)
    drawn = first.mode.is_fuzz  # sizes are drawn for each engine: one may show another difference, or refuse them
    if shared and (raised or drawn or not (compared and same_mode)):
        return [_shared_error(each, shared) for each in findings]
    known = {each.identity: each.known for each in first.findings if each.verdict == "known"}
    sorts = {each.sort for each in shared}
    return [
        _attributed(each, engine, known) if engine and each.sort not in sorts else each
        for each, engine in zip(findings, at_fault, strict=True)
    ]


def _attributed(finding: Finding, engine: str, known: Mapping[Identity, KnownAs | None]) -> Finding:
    """Return the finding as known where both engines have a known defect of torch in one place, and else as an engine
    error.
    """
    if finding.verdict == "broken" and finding.identity in known:
        return replace(finding, verdict="known", known=known[finding.identity])
    return replace(finding, verdict="engine_error", known=None, fault_of=engine)


def _shared_error(finding: Finding, shared: Sequence[Finding]) -> Finding:
    """Return the finding of an error that the first engine raises with the same words as a failure of the model, not an
    engine error.
    """
    same = any((each.identity, each.actual) == (finding.identity, finding.actual) for each in shared)
    return replace(finding, verdict="broken", fault_of="") if finding.verdict == "engine_error" and same else finding


def _fails(finding: Finding) -> bool:
    """Return True if a finding fails the run of a user who ships a model, or would if it were not an engine error."""
    return finding.verdict in ("broken", "engine_error") or (finding.verdict == "known" and finding.check == "outputs")
