"""Differences in the dims and ranges that two programs state for their inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pytest_exportcheck.checks.agreement.sides import UNDECIDED, Pair
from pytest_exportcheck.checks.constraints import interval_of
from pytest_exportcheck.records import (
    Change,
    ConstraintsRecord,
    Culprit,
    DeclaredDim,
    Finding,
    Interval,
    Size,
)

_FINDING = Finding.of("constraints")

#: Ends of ranges that mean "without bound".
_UNBOUNDED = 2**31


def range_findings(pair: Pair, sized: Sequence[Finding]) -> Iterator[Finding]:
    """Yield a finding for each dim of an input that is dynamic in one program only, or has another range. ``sized`` are
    the findings at sampled sizes, which may say who is at fault.
    """
    programs = pair.one.record.program, pair.other.record.program
    if programs[0] is None or programs[1] is None:
        return
    ours, theirs = programs[0].constraints, programs[1].constraints
    declared = {(each.place, each.dim): each for each in pair.evidence.declared}
    for place, old in ours.shapes.items():
        for number, (left, right) in enumerate(zip(old, theirs.shapes.get(place, ()), strict=False)):
            finding = _difference(f"{place}.size({number})", _state(left, ours), _state(right, theirs))
            if finding is not None:
                dim = declared.get((place, number))
                culprit = _declared_culprit(pair, finding, dim) or _sized_culprit(finding, dim, sized)
                culprit = culprit or Culprit(UNDECIDED, f"the case declares {_text(dim)}; both compute the same sizes")
                yield pair.finding(finding, culprit.name, culprit.reason)


def _state(size: int | Size, constraints: ConstraintsRecord) -> Interval | int | None:
    """Return the size of a static dim, or the range of a dynamic one; None if the range is not known."""
    if not isinstance(size, Size):
        return size
    found = interval_of(size, constraints.ranges)
    return None if found is None else Interval(_bound(found.lower), _bound(found.upper))


def _bound(bound: int | None) -> int | None:
    return None if bound is None or abs(bound) >= _UNBOUNDED else bound


def _difference(place: str, one: Interval | int | None, other: Interval | int | None) -> Finding | None:
    if one == other or (not isinstance(one, int) and not isinstance(other, int) and None in (one, other)):
        return None
    if isinstance(one, int) or isinstance(other, int):
        texts = [f"always {each}" if isinstance(each, int) else f"dynamic, {each}" for each in (one, other)]
        return _FINDING.at(place, "static" if isinstance(other, int) else "dynamic", "", *texts)
    if one is None or other is None:
        return None
    change: Change = "narrowed" if one.holds(other) else "widened" if other.holds(one) else "moved"
    return _FINDING.at(place, change, "range", one, other)


def _declared_culprit(pair: Pair, finding: Finding, dim: DeclaredDim | None) -> Culprit | None:
    """Return the side whose program is not what the case declares, if the other one's is."""
    texts = (finding.expected, finding.actual)
    if finding.key != "range":
        if dim is not None and dim.text.startswith("Dim.AUTO"):
            return None
        promised = dim is not None and dim.dynamic
        fits = [text.startswith("dynamic") is promised for text in texts]
    elif dim is None or dim.interval is None:
        return None
    else:
        interval = Interval(_bound(dim.interval.lower), _bound(dim.interval.upper))
        fits = [text == str(interval) for text in texts]
    if fits[0] == fits[1]:
        return None
    wrong, right = pair.names[::-1] if fits[0] else pair.names
    return Culprit(wrong, f"the case declares {_text(dim)}, as {right} has it, and {wrong} has something else")


def _text(dim: DeclaredDim | None) -> str:
    if dim is None:
        return "no dynamic dim"
    return f"{dim.text} {dim.interval}" if dim.interval else dim.text


def _sized_culprit(finding: Finding, dim: DeclaredDim | None, sized: Sequence[Finding]) -> Culprit | None:
    """Return the culprit of a difference in acceptance that is about the same dim."""
    return next((each.culprit for each in sized if is_about(each, finding.place, dim) and each.culprit), None)


def is_about(sized: Finding, place: str, dim: DeclaredDim | None) -> bool:
    """Return True if a finding at sampled sizes is about a dim of an input."""
    names = {place, f"{place} alone", dim.root if dim is not None else place}
    return sized.check == "sizes" and sized.place in names


def without_repeated(pair: Pair, ranges: Sequence[Finding], sized: Sequence[Finding]) -> list[Finding]:
    """Return the findings at sampled sizes, without those that follow from a difference of ranges."""
    dims: Mapping[str, DeclaredDim] = {f"{each.place}.size({each.dim})": each for each in pair.evidence.declared}
    return [
        each
        for each in sized
        if not any(
            is_about(each, other.place, dims.get(other.place))
            and each.culprit
            and other.culprit
            and each.culprit.name == other.culprit.name
            for other in ranges
        )
    ]
