"""An outcome as text: what was expected, what came, and how to reproduce it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from pytest_exportcheck.modes import AGREE, GOLDEN, Mode
from pytest_exportcheck.records import DifferenceOrigin, Finding, Outcome, Status
from pytest_exportcheck.reports.lines import Line, plain
from pytest_exportcheck.reports.origin import origin_lines
from pytest_exportcheck.reports.wording import (
    calls_text,
    culprit_text,
    defect_text,
    detail_of,
    kind_of,
    sides_of,
    values_text,
)

LONGEST = 20  # lines of one value before it is cut, unless all is requested

_EXPECTED, _GOT, _KNOWN, _HEADLINE, _USER_CODE = "green", "red", "yellow", "red bold", "bold"


def failure_text(outcome: Outcome, *, reproduce: str, verbose: bool = False, among: Sequence[Outcome] = ()) -> str:
    """Return the text under a failed item. ``verbose`` shows long values whole. A finding that several of the outcomes
    ``among`` have, which are shown in their order, is shown with the first of them only.
    """
    return "\n".join(line.text for line in failure_lines(outcome, reproduce=reproduce, verbose=verbose, among=among))


def failure_lines(
    outcome: Outcome, *, reproduce: str, verbose: bool = False, among: Sequence[Outcome] = ()
) -> Iterator[Line]:
    """Yield the lines of :func:`failure_text`, with their styles."""
    yield from _body(outcome, verbose, among)
    yield plain("")
    yield Line(((f"Reproduce with: {reproduce}", ""),), command=True)


def body_lines(outcome: Outcome, verbose: bool = False) -> Iterator[str]:
    """Yield the failure, line by line: the findings, or the reason where it is sufficient."""
    return (line.text for line in _body(outcome, verbose, ()))


def _body(outcome: Outcome, verbose: bool, among: Sequence[Outcome]) -> Iterator[Line]:
    if _says_reason_only(outcome):
        yield from (plain(line) for line in outcome.reason.splitlines())
        return
    yield plain(headline(outcome), _HEADLINE)
    elsewhere: list[Line] = []
    shown_origins: set[DifferenceOrigin | None] = set()
    for finding in outcome.findings:
        having = [each for each in among if _same_case(each, outcome) and _shows(each, finding)]
        if having and not _same_item(having[0], outcome):
            elsewhere.append(plain(f"  {_title(finding)}: the same as in {_stage(having[0])}"))
            continue
        yield plain("")
        yield from _finding(replace(finding, origin=None) if finding.origin in shown_origins else finding, verbose)
        shown_origins.add(finding.origin)
        others = [_stage(each) for each in having if not _same_item(each, outcome)]
        if others:
            yield plain(f"    the same in: {', '.join(others)}")
    yield from [plain(""), *elsewhere] if elsewhere else []
    for note in outcome.notes:
        yield plain(f"note: {note}")


def _says_reason_only(outcome: Outcome) -> bool:
    return outcome.status in (Status.ERROR, Status.STALE) or not outcome.findings


def _same_case(one: Outcome, other: Outcome) -> bool:
    return (one.path, one.case) == (other.path, other.case)


def _same_item(one: Outcome, other: Outcome) -> bool:
    return _same_case(one, other) and (one.engine, one.mode) == (other.engine, other.mode)


def _shows(outcome: Outcome, finding: Finding) -> bool:
    """Return True if an outcome shows the finding, apart from its detail, its causes, its operators and its origin."""
    shown = () if _says_reason_only(outcome) else outcome.findings
    alike = (
        replace(each, detail=finding.detail, causes=finding.causes, operators=finding.operators, origin=finding.origin)
        for each in shown
    )
    return finding in alike


def _stage(outcome: Outcome) -> str:
    return f"{outcome.engine}-{outcome.mode}"


def headline(outcome: Outcome) -> str:
    """Return one line: which stage failed in which checks, by the findings that fail the item."""
    if outcome.reason:
        return f"{outcome.reason}:"
    stage = Mode.parse(outcome.mode).last
    failing = outcome.failing_findings or outcome.findings
    if outcome.engine == AGREE:
        engines = " and ".join(dict.fromkeys(name for each in failing for name in each.between)) or "engines"
        return f"{engines} disagree on {' and '.join(dict.fromkeys(finding.check for finding in failing))}"
    if outcome.engine == GOLDEN:
        checks = " and ".join(dict.fromkeys(finding.check for finding in failing))
        return f"the golden program of torch {outcome.mode} failed: {checks}"
    raised = [finding for finding in failing if finding.change == "raised"]
    if raised:
        return f"{stage} raised {_without_module(raised[0].actual).partition(':')[0]}"
    return f"{stage} broke {' and '.join(dict.fromkeys(finding.check for finding in failing))}"


def summary_line(outcome: Outcome) -> str:
    """Return the text of pytest's short summary for a failed item: the first finding by its check and place, and what
    was found.
    """
    if outcome.status in (Status.ERROR, Status.STALE) or not outcome.findings:
        return first_line(outcome.reason)
    failing = outcome.failing_findings or outcome.findings
    first = failing[0]
    what = first_line(first.actual)
    if first.change == "raised" and not first.between:
        what = _without_module(what)
    else:
        what = f"{kind_of(first)}: {values_text(first, first_line(first.expected), what)}"
    more = f" (and {len(failing) - 1} more)" if len(failing) > 1 else ""
    return f"{first.check}: {first.place}: {what}{more}"


def _without_module(error: str) -> str:
    """Return the text of an error without the module of its class."""
    return re.sub(r"^(?:\w+\.)+(?=\w+(?::|$))", "", error)


def first_line(text: str) -> str:
    """Return the first line of a text; empty where there is none."""
    return next(iter(text.splitlines()), "")


def finding_lines(finding: Finding, verbose: bool = False) -> Iterator[str]:
    """Yield a finding in a few lines: where and what, then the two values, one below the other."""
    return (line.text for line in _finding(finding, verbose))


def _finding(finding: Finding, verbose: bool) -> Iterator[Line]:
    verdict = "" if finding.verdict in ("broken", "disagreement") else f"  [{finding.verdict}{_row(finding)}]"
    on = f"  (on {calls_text(finding)})" if finding.on else ""
    yield plain(f"  {_title(finding)}{on}{verdict}", _KNOWN if verdict else "")
    labels = sides_of(finding)
    width = max(map(len, (*labels, "expected"))) + 2
    yield from _value(labels[0], width, finding.expected, _KNOWN if finding.between else _EXPECTED, verbose)
    where = finding.error.where if finding.error else ""
    style = _KNOWN if finding.between else _GOT
    yield from (_with_place(line, where) for line in _value(labels[1], width, finding.actual, style, verbose))
    if finding.culprit:
        yield plain(f"    {culprit_text(finding)}", _USER_CODE)
    yield from (plain(f"    {line}" if line.strip() else line) for line in detail_of(finding).splitlines())
    if finding.line and finding.line not in f"{finding.actual}\n{detail_of(finding)}":
        yield Line((("    at ", ""), (finding.line, _USER_CODE)))
    if finding.origin:
        yield from origin_lines(finding.origin)
    if finding.known:
        yield plain(f"    {defect_text(finding.known)}", _KNOWN)
        if finding.known.issue:
            yield plain(f"    reported at {finding.known.issue}", _KNOWN)


def _title(finding: Finding) -> str:
    return f"{finding.check}: {finding.place}: {kind_of(finding)}"


def _row(finding: Finding) -> str:
    return f": {finding.known_as}" if finding.known_as else ""


def _value(label: str, width: int, text: str, style: str, verbose: bool) -> Iterator[Line]:
    lines = text.splitlines() or [""]
    cut: Sequence[str] = lines if verbose or len(lines) <= LONGEST else _without_middle(lines)
    yield Line(((f"    {label + ':':<{width}}", ""), (cut[0], style)))
    yield from (Line(((f"    {'':<{width}}", ""), (line, style))) for line in cut[1:])


def _with_place(line: Line, where: str) -> Line:
    """Return the line with a separate style for the place where the user's code raised."""
    label, (text, _) = line.pieces
    return Line((label, (text, _USER_CODE))) if where and where in text else line


def _without_middle(lines: Sequence[str]) -> list[str]:
    half = LONGEST // 2
    return [*lines[:half], f"... {len(lines) - 2 * half} lines left out (-vv shows them) ...", *lines[-half:]]
