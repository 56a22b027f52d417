"""An estimate of the time that the rest of a run takes, from the items of this run and of the run before."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_exportcheck.modes import FUZZ
from pytest_exportcheck.reports.lines import count

#: The number of items that must be done before others are estimated from them.
_ENOUGH = 3


@dataclass(frozen=True)
class Estimate:
    """The seconds that are left, and where the number comes from."""

    seconds: float
    basis: str


def estimate(
    planned: Sequence[str], done: Mapping[str, float], last: Mapping[str, float], processes: int = 1
) -> Estimate | None:
    """Return an estimate of the rest of a run. ``done`` are the seconds of items of this run, ``last`` those of the last run by the
    same ids. Return None where items are left that the last run did not have, and too few are done.
    """
    left = [nodeid for nodeid in planned if nodeid not in done]
    known = [last[nodeid] for nodeid in left if nodeid in last]
    unknown = [nodeid for nodeid in left if nodeid not in last]
    if unknown and len(done) < _ENOUGH:
        return None
    seconds = sum(known) * _slower(done, last) + sum(_mean(done, _is_fuzz(nodeid)) for nodeid in unknown)
    basis = (
        "by the items so far" if not known else "by the last run and the items so far" if unknown else "by the last run"
    )
    return Estimate(seconds / max(1, processes), basis)


def progress_text(
    planned: Sequence[str], done: Mapping[str, float], last: Mapping[str, float], *, processes: int = 1, passed: float
) -> str:
    """Return how many items of a run are done after so many seconds, and how long the rest may take."""
    text = f"{len(done)} of {count(len(planned), 'item')} done in {_passed(passed)}"
    left = estimate(planned, done, last, processes)
    return f"{text}, about {_rounded(left.seconds)} left ({left.basis})" if left else text


def _slower(done: Mapping[str, float], last: Mapping[str, float]) -> float:
    """Return how much longer the items so far took than in the last run."""
    both = [nodeid for nodeid in done if nodeid in last]
    before = sum(last[nodeid] for nodeid in both)
    return sum(done[nodeid] for nodeid in both) / before if len(both) >= _ENOUGH and before > 0 else 1.0


def _mean(done: Mapping[str, float], is_fuzz: bool) -> float:
    """Return the mean seconds of the items of a kind that are done, or of all where too few of the kind are."""
    alike = [seconds for nodeid, seconds in done.items() if _is_fuzz(nodeid) == is_fuzz]
    chosen = alike if len(alike) >= _ENOUGH else [*done.values()]
    return sum(chosen) / len(chosen)


def _is_fuzz(nodeid: str) -> bool:
    return nodeid.endswith(f"-{FUZZ}]")


def _passed(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 60 else _rounded(seconds)


def _rounded(seconds: float) -> str:
    """Return a duration as exactly as an estimate is: ``40 s``, ``7 min``, ``1 h 20 min``."""
    if seconds < 60:
        return f"{max(1, math.ceil(seconds / 10)) * 10} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
