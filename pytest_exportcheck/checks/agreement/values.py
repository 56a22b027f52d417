"""Differences in what the calls of two programs do, with eager as the judge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pytest_exportcheck.checks import run_checks
from pytest_exportcheck.checks.agreement.sides import UNDECIDED, Pair, Side
from pytest_exportcheck.policy import BLOCKING
from pytest_exportcheck.records import Evidence, Finding
from pytest_exportcheck.reports.wording import kind_of


def value_findings(pair: Pair) -> Iterator[Finding]:
    """Yield a finding for each difference in which at least one side also differs from eager: two programs that are
    both as close to eager as the contract asks may differ from each other.
    """
    for finding in between(pair.evidence):
        own = tuple(_about(side, finding) for side in (pair.one, pair.other))
        if any(own):
            yield judged(pair, finding, own[0], own[1])


def between(evidence: Evidence) -> list[Finding]:
    """Return the differences between the calls of two programs. A call that only one side refuses is one of them."""
    calls = list(zip(evidence.before.observations, evidence.after.observations, strict=False))
    if any(one.raised and not other.raised for one, other in calls):
        swapped = run_checks(replace(evidence, before=evidence.after, after=evidence.before))
        found = [replace(each, expected=each.actual, actual=each.expected) for each in swapped]
        return [replace(each, actual="outputs") if each.change == "raised" else each for each in found]
    found = run_checks(evidence)
    return [replace(each, expected="outputs") if each.change == "raised" else each for each in found]


def judged(pair: Pair, finding: Finding, ours: Sequence[Finding], theirs: Sequence[Finding]) -> Finding:
    """Name the side that differs from eager, if only one does. ``ours`` and ``theirs`` are its differences."""
    if ours and theirs:
        return pair.finding(finding, UNDECIDED, f"both differ from eager: {_told(pair, ours[0], theirs[0])}")
    wrong, right = pair.names if ours else pair.names[::-1]
    known = (ours or theirs)[0].known
    return pair.finding(finding, wrong, f"{wrong} differs from eager there, and {right} does not", known)


def shared_notes(pair: Pair, found: Sequence[Finding]) -> Iterator[str]:
    """Yield a note for each difference from eager that both sides have in the same way."""
    apart = {(each.check, each.place) for each in found}
    theirs = {each.identity for each in pair.other.failing(*BLOCKING)}
    for each in pair.one.failing(*BLOCKING):
        if each.identity in theirs and (each.check, each.place) not in apart:
            culprit = f"torch (known defect {each.known_as})" if each.known else "the model, or what its case promises"
            yield (
                f"{' and '.join(pair.names)} differ from eager in the same way ({each.check}: {each.place}: "
                f"{kind_of(each)}); likely culprit: {culprit}"
            )


def _about(side: Side, finding: Finding) -> list[Finding]:
    """Return how a side differs from eager in the same place."""
    return [each for each in side.failing(finding.check) if each.place == finding.place]


def _told(pair: Pair, ours: Finding, theirs: Finding) -> str:
    return "; ".join(
        f"{name}: {each.place}: {kind_of(each)}: expected {_first_line(each.expected)}, got {_first_line(each.actual)}"
        for name, each in zip(pair.names, (ours, theirs), strict=True)
    )


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
