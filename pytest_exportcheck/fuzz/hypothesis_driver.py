"""The driver of hypothesis: runs a test function over some choices first, then over random ones, then shrinks."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity, given
from hypothesis import strategies as st
from hypothesis.errors import Flaky, Unsatisfiable
from hypothesis.statistics import collector, describe_statistics

from pytest_exportcheck.fuzz.hypothesis_database import FirstChoices


class Draw:
    """The source of the values that a test function draws."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data.conjecture_data

    def number(self, low: int, high: int) -> int:
        """Draw a number of a range, both ends included; draw nothing where there is only one."""
        return low if low == high else int(self._data.draw(st.integers(low, high)))

    def value(self, strategy: st.SearchStrategy[Any]) -> Any:
        """Draw a value of any strategy."""
        return self._data.draw(strategy)


@dataclass(frozen=True)
class Explored:
    """The result of an exploration. ``failed``: the test raised for some choice; ``flaky``: and did not when it was
    repeated; ``statistics`` as hypothesis reports them; ``stopped``: the time was over before the last example;
    ``unshrunk``: hypothesis's reason for ending the search for a smaller example, if it did.
    """

    failed: bool
    flaky: bool = False
    statistics: str = ""
    stopped: bool = False
    unshrunk: str = ""


class _TimeIsOver(BaseException):
    """The way out of hypothesis between two examples: hypothesis treats every other exception as a failure."""


class _Watch:
    """The watch on the time of one exploration. It leaves hypothesis only after an example that passed: an example that
    ended early would look like one that draws less. Once an example failed, the time does not matter any more, so that
    the failure is shrunk to the end.
    """

    def __init__(self, is_over: Callable[[], bool], failures: type[Exception]) -> None:
        self._is_over = is_over
        self._failures = failures
        self._failed = False
        self.stopped = False

    def run(self, test: Callable[[Draw], None], draw: Draw) -> None:
        """Run one example, and leave hypothesis if the time is over."""
        try:
            test(draw)
        except self._failures:
            self._failed = True
            raise
        if not self._failed and self._is_over():
            self.stopped = True
            raise _TimeIsOver


def _never() -> bool:
    return False


def explore(
    test: Callable[[Draw], None],
    *,
    key: str,
    first: Iterable[Sequence[int]] = (),
    examples: int,
    failures: type[Exception],
    is_over: Callable[[], bool] = _never,
) -> Explored:
    """Call ``test`` for ``examples`` examples, with the object that draws them; ``failures`` are what it may raise. No
    further example is drawn once ``is_over`` returns True, unless one failed.

    hypothesis's profile, seed and example database are in force; ``key`` names the database entry. ``first`` are
    sequences of numbers to be drawn before all others, as many as there are examples. The example that is run last is
    the smallest one that fails.

    Raises
    ------
    DeadlineExceeded
        Where a profile sets a deadline explicitly, and an example takes longer.
    """
    told: list[str] = []
    unshrunk: list[str] = []
    watch = _Watch(is_over, failures)

    @given(st.data())
    def wrapped(data: st.DataObject) -> None:
        watch.run(test, Draw(data))

    name = key.encode()
    profile = _profile()
    if profile.derandomize:  # it cannot be combined with a database, and the database here holds what is tried first
        wrapped = hypothesis.seed(int.from_bytes(hashlib.sha1(name).digest()[:8], "big"))(wrapped)
    kept = profile.database if Phase.reuse in profile.phases else None
    database = FirstChoices(name, first, kept, examples, lambda: watch.stopped)
    wrapped = _settings(profile, database, examples)(wrapped)  # last: a seed disables the database
    wrapped._hypothesis_internal_database_key = name  # type: ignore[attr-defined]
    outcome = Explored(failed=False)

    def note(stats: Any) -> None:
        told.append(describe_statistics(stats | {"nodeid": key}))
        unshrunk.extend(each for each in [stats.get("stopped-because", "")] if re.search("shr[iu]nk", each))

    noted: Any = note  # hypothesis types the collector by its first value, None
    with collector.with_value(noted):
        try:
            wrapped()
        except Unsatisfiable:
            pass
        except _TimeIsOver:
            told.append(f"{key}:\n\n  - Stopped because the time of fuzzing is used\n")
        except Flaky as error:  # a group of what was raised, or hypothesis's own report about the draws
            if hasattr(error, "exceptions") and not _are_all(error, (failures, Flaky)):
                raise
            outcome = Explored(failed=True, flaky=True)
        except Exception as error:
            if not _are_all(error, failures):
                raise
            outcome = Explored(failed=True)
    return replace(outcome, statistics="\n\n".join(told), stopped=watch.stopped, unshrunk="".join(unshrunk[:1]))


def _are_all(error: BaseException, kind: type[Exception] | tuple[type[Exception], ...]) -> bool:
    """Return whether an exception, or every one of a group, is of a kind, or of one of several."""
    members = getattr(error, "exceptions", None)
    return all(_are_all(each, kind) for each in members) if members else isinstance(error, kind)


def _profile() -> hypothesis.settings:
    profile = hypothesis.settings.default
    if profile is None:  # only while hypothesis itself is being imported
        raise RuntimeError("hypothesis has no settings profile")
    return profile


#: The deadline of every profile that sets none: meant for tests of a few lines, not for models.
_INHERITED = timedelta(milliseconds=200)


def _settings(profile: hypothesis.settings, database: FirstChoices, examples: int) -> Any:
    return hypothesis.settings(
        profile,
        max_examples=examples,
        database=database,
        derandomize=False,
        deadline=None if profile.deadline == _INHERITED else profile.deadline,
        phases=[
            Phase.reuse,
            *(each for each in profile.phases if each in (Phase.generate, Phase.target, Phase.shrink)),
        ],
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet if profile.verbosity == Verbosity.normal else profile.verbosity,
        print_blob=False,
        report_multiple_bugs=True,
    )
