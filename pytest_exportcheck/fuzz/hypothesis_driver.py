"""The driver of hypothesis: runs a test function over some choices first, then over random ones, then shrinks."""

from __future__ import annotations

import hashlib
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
    repeated; ``statistics`` as hypothesis reports them.
    """

    failed: bool
    flaky: bool = False
    statistics: str = ""


def explore(
    test: Callable[[Draw], None],
    *,
    key: str,
    first: Iterable[Sequence[int]] = (),
    examples: int,
    failures: type[Exception],
) -> Explored:
    """Call ``test`` for ``examples`` examples, with the object that draws them; ``failures`` are what it may raise.

    hypothesis's profile, seed and example database are in force; ``key`` names the database entry. ``first`` are
    sequences of numbers to be drawn before all others, as many as there are examples. The example that is run last is
    the smallest one that fails.

    Raises
    ------
    DeadlineExceeded
        Where a profile sets a deadline explicitly, and an example takes longer.
    """
    told: list[str] = []

    @given(st.data())
    def wrapped(data: st.DataObject) -> None:
        test(Draw(data))

    name = key.encode()
    profile = _profile()
    if profile.derandomize:  # it cannot be combined with a database, and the database here holds what is tried first
        wrapped = hypothesis.seed(int.from_bytes(hashlib.sha1(name).digest()[:8], "big"))(wrapped)
    wrapped = _settings(profile, name, first, examples)(wrapped)  # last: a seed disables the database
    wrapped._hypothesis_internal_database_key = name  # type: ignore[attr-defined]
    outcome = Explored(failed=False)
    note: Any = lambda stats: told.append(describe_statistics(stats | {"nodeid": key}))  # noqa: E731
    with collector.with_value(note):
        try:
            wrapped()
        except Unsatisfiable:
            pass
        except Flaky as error:  # a group of what was raised, or hypothesis's own report about the draws
            if hasattr(error, "exceptions") and not _are_all(error, (failures, Flaky)):
                raise
            outcome = Explored(failed=True, flaky=True)
        except Exception as error:
            if not _are_all(error, failures):
                raise
            outcome = Explored(failed=True)
    return replace(outcome, statistics="\n\n".join(told))


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


def _settings(profile: hypothesis.settings, key: bytes, first: Iterable[Sequence[int]], examples: int) -> Any:
    kept = profile.database if Phase.reuse in profile.phases else None
    return hypothesis.settings(
        profile,
        max_examples=examples,
        database=FirstChoices(key, first, kept, examples),
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
