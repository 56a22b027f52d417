"""The result of one stage of a mode, and the findings for a stage that raised, edited its input or could not be
judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_exportcheck.engines.protocol import StageArtifact
from pytest_exportcheck.errors import RuntimeRaised, Unsupported
from pytest_exportcheck.harness.isolation import causes_of, line_of_node, raised_from
from pytest_exportcheck.modes import CAPTURES, Mode
from pytest_exportcheck.records import Cause, FieldSurvival, Finding, Identity, Inputs, Record, SizesTried, StateKind
from pytest_exportcheck.records.results import Fact

_FINDING = Finding.of("stage")


@dataclass(eq=False)
class StageResult:
    """The result of one stage. ``record`` is None where the stage made no artifact; ``artifact`` is also None once a
    stage that edits it spoiled it. ``captured`` are the program's facts about sizes, where they were fuzzed with so many
    ``examples``, and ``sizes`` those that were tried; ``drawn`` are the drawn inputs that show findings, by the identity
    of these. ``reader`` is the other engine that read the file of an ``interop``; ``interrupted`` says how the stage was
    interrupted, if it was: it is not made again.
    """

    mode: Mode
    artifact: StageArtifact | None = None
    record: Record | None = None
    findings: list[Finding] = field(default_factory=list)
    ledger: tuple[FieldSurvival, ...] = ()
    sizes: SizesTried | None = None
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Fact] = field(default_factory=dict)
    statistics: str = ""
    examples: int = 0
    captured: Any = None
    drawn: Mapping[Identity, Inputs] = field(default_factory=dict)
    reader: str = ""
    unsupported: str = ""
    unsupported_by: str = ""
    refused: bool = False
    interrupted: str = ""
    blocker: StageResult | None = None


def raise_if_unsupported(record: Record) -> None:
    """Raise Unsupported if a package refused the example in this way: the runtime has no kernel for it."""
    raised = record.observations[0].raised if record.observations else None
    if raised is not None and raised.type == f"{Unsupported.__module__}.{Unsupported.__qualname__}":
        raise Unsupported(raised.message)


def unjudged(mode: Mode, record: Record) -> Iterator[str]:
    """Yield notes on parts that no check could judge, though the program's own call returned."""
    called = record.observations and not record.observations[0].raised
    runs = record.program.runs if record.program and called else ()
    for run in runs[:1]:  # at other sizes a program may refuse its inputs
        if run.stopped:
            yield f"{mode}: val is checked only up to {run.stopped.place}, which cannot run by itself ({run.stopped.error})"


def without_grad_only(mode: Mode, findings: Sequence[Finding]) -> Iterator[str]:
    """Yield a note for an inference program that cannot be called with grad, with the known defect that it has."""
    for finding in findings:
        if finding.check == "gradients" and finding.change == "raised" and finding.subject == "call":
            known = f" (known defect {finding.known_as})" if finding.known_as else ""
            first = finding.actual.partition("\n")[0]
            yield f"{mode}: the program can only be called under torch.no_grad(){known}; with grad it raises {first}"


#: The key of an error by which an engine objects to a model, see ``Engine.objections``.
OBJECTION = "objection"


def raised_finding(stage: str, what: str, error: BaseException, logged: Sequence[str], last_line: str = "") -> Finding:
    """Return the finding for a stage that raised. ``last_line`` is the last line of the model that ran, where the error
    itself names none.
    """
    raised = replace(raised_from(error), logged=tuple(logged))
    detail = [
        f"the last line of the model that ran: {last_line}" if last_line else "",
        raised.detail,
        error.hint if isinstance(error, RuntimeRaised) else "",
        *(f"torch logged: {line}" for line in logged),
    ]
    texts = what, raised, "\n".join(filter(None, detail))
    in_capture = raised.where if stage in CAPTURES else ""  # an edge runs no code of the model
    line = line_of_node(error) or in_capture or last_line
    return _FINDING.at(stage, "raised", "", *texts, error=raised, causes=causes_of(error), line=line)


def edited_module(name: str, tensor: Any, kind: StateKind) -> Finding:
    """Return the finding for a tensor of the user's module that a capture changed."""
    tracer = type(tensor).__name__ if type(tensor).__name__ in _OF_TRACERS else ""
    return _FINDING.at(
        f"module {name}",
        "edited",
        "value",
        "unchanged by the capture",
        f"changed to a {tracer}" if tracer else "changed",
        _KINDS[kind],
        subject=f"{kind}_entry" if "[" in name else kind,
        causes=(
            *((Cause("tracing_tensor", tracer),) if tracer else ()),
            Cause("attribute", name.partition("[")[0].rpartition(".")[2]),
        ),
    )


def edited_flag(name: str, was: bool, now: bool) -> Finding:
    """Return the finding for a tensor of the user's module whose ``requires_grad`` a capture changed."""
    return _FINDING.at(f"module {name}", "edited", "requires_grad", f"requires_grad={was}", f"requires_grad={now}")


def edited_program(part: str, edge: str) -> Finding:
    """Return the finding for a part of the input program that an edge changed."""
    place, expected = f"input program's {part}", f"unchanged by {edge}"
    return _FINDING.at(place, "edited", "program", expected, "changed", subject=part)


def edited_global(name: str, was: object, now: object) -> Finding:
    """Return the finding for a global mode of the process that a stage changed."""
    return _FINDING.at(name, "edited", "global_mode", was, now)


#: Classes of tensors that only a tracer makes.
_OF_TRACERS = ("FakeTensor", "FunctionalTensor")

#: The words for the kinds of places of a module.
_KINDS: Mapping[StateKind, str] = {
    "parameter": "a parameter",
    "buffer": "a buffer",
    "attribute": "a plain attribute",
}
