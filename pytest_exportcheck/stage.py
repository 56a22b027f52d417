"""What became of one step of a mode, and what is said of a step that raised, edited or could not be judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_exportcheck.modes import Mode
from pytest_exportcheck.raised import raised_from, remedy_for
from pytest_exportcheck.records import Finding, Record, Survival


@dataclass(eq=False)
class Stage:
    """What became of one prefix. ``record`` is None where no artifact came of it; ``artifact`` is also None once it
    was spoiled by a stage that edited it. ``captured`` is what the program said of sizes, where they were fuzzed;
    ``reader`` the other engine that read the file of an ``interop``; ``interrupted`` says how the stage was interrupted, if it
    was: it is not made again."""

    mode: Mode
    artifact: Any = None
    record: Record | None = None
    findings: list[Finding] = field(default_factory=list)
    ledger: tuple[Survival, ...] = ()
    notes: tuple[str, ...] = ()
    statistics: str = ""
    captured: Any = None
    reader: str = ""
    unsupported: str = ""
    refused: bool = False
    interrupted: str = ""
    blocker: Stage | None = None


def unjudged(mode: Mode, record: Record) -> Iterator[str]:
    """What no check could look at, though the program's own call returned."""
    called = record.observations and not record.observations[0].raised
    runs = record.program.runs if record.program and called else ()
    for run in runs[:1]:  # at other sizes a program may refuse its inputs
        if run.stopped:
            yield f"{mode}: val is judged up to {run.stopped.place} only, which cannot run by itself ({run.stopped.error})"


def without_grad_only(mode: Mode, findings: Sequence[Finding]) -> Iterator[str]:
    """A note for an inference program that cannot be called with grad, with the known defect that it has."""
    for finding in findings:
        if (finding.check, finding.place, finding.kind) == ("gradients", "the call", "raised"):
            known = f" (known defect {finding.known_as})" if finding.known_as else ""
            first = finding.actual.partition("\n")[0]
            yield f"{mode}: the program can only be called under torch.no_grad(){known}; with grad it raises {first}"


#: The field of an error by which an engine objects to a model, see ``BareEngine.objections``.
OBJECTION = "objection"


def raised_finding(stage: str, what: str, error: BaseException, logged: Sequence[str], last_line: str = "") -> Finding:
    """A stage that raised. ``last_line`` is the last line of the model that ran, where the error itself names none."""
    raised = raised_from(error)
    detail = [
        remedy_for(error),
        f"the last line of the model that ran: {last_line}" if last_line else "",
        raised.detail,
        *(f"torch logged: {line}" for line in logged),
    ]
    return Finding(
        check="stage",
        place=stage,
        kind="raised",
        expected=what,
        actual=str(raised),
        detail="\n".join(filter(None, detail)),
    )


def edited_finding(what: str, expected: str, actual: str, detail: str = "") -> Finding:
    return Finding(check="stage", place=what, kind="edited", expected=expected, actual=actual, detail=detail)
