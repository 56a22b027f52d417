"""Differences at sampled sizes: which sizes a program accepts, and what it computes there."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_exportcheck.checks.agreement.sides import Pair, SizedPair
from pytest_exportcheck.checks.agreement.values import judged
from pytest_exportcheck.records import Change, Culprit, Finding
from pytest_exportcheck.reports.wording import kind_of

_FINDING = Finding.of("sizes")


def size_findings(pair: Pair) -> Iterator[Finding]:
    """Yield one finding for each set of dims and side that refuses them, at the first of the sampled sizes, and the
    differences in values.
    """
    seen: set[tuple[str, bool]] = set()
    for sized in pair.sized:
        refusing = bool(sized.raised[0])
        if refusing == bool(sized.raised[1]):
            yield from _values(pair, sized)
        elif (sized.about, refusing) not in seen:
            seen.add((sized.about, refusing))
            yield _acceptance(pair, sized)


def _acceptance(pair: Pair, sized: SizedPair) -> Finding:
    texts = [f"refused: {each}" if each else "accepted" for each in sized.raised]
    change: Change = "widened" if sized.raised[0] else "narrowed"
    error = sized.raised[0] or sized.raised[1]
    key = "" if sized.declared is not False else "lower_bound" if sized.below else "undeclared"
    finding = _FINDING.at(sized.about, change, key, *texts, error=error, on=(sized.site,))
    culprit = _culprit(pair, sized)
    return pair.finding(finding, culprit.name, culprit.reason)


def _culprit(pair: Pair, sized: SizedPair) -> Culprit:
    refuser, taker = pair.names if sized.raised[0] else pair.names[::-1]
    wrong = sized.own[1] if sized.raised[0] else sized.own[0]
    if sized.eager_raised:
        return Culprit(taker, f"eager refuses these inputs ({sized.eager_raised.type}), and {taker} accepts them")
    if wrong:
        what = f"{wrong[0].check}: {wrong[0].place}: {kind_of(wrong[0])}"
        return Culprit(taker, f"{taker} accepts these sizes, and computes something else than eager ({what})")
    if sized.declared is False:
        return Culprit(taker, f"the case does not declare these sizes, and {taker} accepts them")
    why = "the case declares these sizes, and" if sized.declared else "the case leaves these sizes to the capture, and"
    return Culprit(refuser, f"{why} {taker} computes there what eager computes")


def _values(pair: Pair, sized: SizedPair) -> Iterator[Finding]:
    ours, theirs = sized.own
    for finding in sized.between if ours or theirs else ():
        yield judged(pair, finding, ours, theirs)
