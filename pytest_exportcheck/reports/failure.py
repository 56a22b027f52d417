"""An outcome as text: what was expected, what came, and how to reproduce it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import indent

from pytest_exportcheck.modes import Mode
from pytest_exportcheck.records import Finding, Outcome, Status
from pytest_exportcheck.reports.wording import calls_of, defect_text, detail_of, kind_of

LONGEST = 20  # lines of one value before it is cut, unless all is requested


def failure_text(outcome: Outcome, *, reproduce: str, verbose: bool = False) -> str:
    """Return the text under a failed item. ``verbose`` shows long values whole."""
    return "\n".join([*body_lines(outcome, verbose), "", f"Reproduce with: {reproduce}"])


def body_lines(outcome: Outcome, verbose: bool = False) -> Iterator[str]:
    """Yield the failure, line by line: the findings, or the reason where it is sufficient."""
    if outcome.status in (Status.ERROR, Status.STALE) or not outcome.findings:
        yield from outcome.reason.splitlines()
        return
    yield headline(outcome)
    for finding in outcome.findings:
        yield ""
        yield from finding_lines(finding, verbose)
    for note in outcome.notes:
        yield f"note: {note}"


def headline(outcome: Outcome) -> str:
    """Return one line: which stage failed in which checks, by the findings that fail the item."""
    if outcome.reason:
        return f"{outcome.reason}:"
    stage = Mode.parse(outcome.mode).last
    failing = outcome.failing_findings or outcome.findings
    raised = [finding for finding in failing if finding.change == "raised"]
    if raised:
        return f"{stage} raised {raised[0].actual.partition(':')[0]}"
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
    if first.change != "raised":
        what = f"{kind_of(first)}: expected {first_line(first.expected)}, got {what}"
    more = f" (and {len(failing) - 1} more)" if len(failing) > 1 else ""
    return f"{first.check}: {first.place}: {what}{more}"


def first_line(text: str) -> str:
    """Return the first line of a text; empty where there is none."""
    return next(iter(text.splitlines()), "")


def finding_lines(finding: Finding, verbose: bool = False) -> Iterator[str]:
    """Yield a finding in a few lines: where and what, then the two values side by side."""
    verdict = "" if finding.verdict == "broken" else f"  [{finding.verdict}{_row(finding)}]"
    on = f"  (on {' and '.join(calls_of(finding))})" if finding.on else ""
    yield f"  {finding.check}: {finding.place}: {kind_of(finding)}{on}{verdict}"
    yield from _value("expected", finding.expected, verbose)
    yield from _value("got", finding.actual, verbose)
    detail = detail_of(finding)
    if detail:
        yield indent(detail, "    ")
    if finding.line:
        yield f"    at {finding.line}"
    if finding.known:
        yield f"    {defect_text(finding.known)}"


def _row(finding: Finding) -> str:
    return f": {finding.known_as}" if finding.known_as else ""


def _value(label: str, text: str, verbose: bool) -> Iterator[str]:
    lines = text.splitlines() or [""]
    cut: Sequence[str] = lines if verbose or len(lines) <= LONGEST else _without_middle(lines)
    yield f"    {label + ':':<10}{cut[0]}"
    yield from (f"    {'':<10}{line}" for line in cut[1:])


def _without_middle(lines: Sequence[str]) -> list[str]:
    half = LONGEST // 2
    return [*lines[:half], f"... {len(lines) - 2 * half} lines left out (-vv shows them) ...", *lines[-half:]]
