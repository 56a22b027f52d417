"""The time of an exploration: when it ends, and what it never cuts."""

from __future__ import annotations

import hypothesis
import hypothesis.internal.conjecture.engine as engine
import pytest
from hypothesis.database import InMemoryExampleDatabase

from pytest_exportcheck.fuzz.hypothesis_driver import explore


class Wrong(Exception): ...


@pytest.fixture(autouse=True)
def profile():
    """A profile to run under; as it was, afterwards. Random, and without a database unless one is given."""
    before = hypothesis.settings.get_current_profile_name()

    def load(**options):
        hypothesis.settings.register_profile(
            "test_explore_time", **{"database": None, "deadline": None, "derandomize": False, **options}
        )
        hypothesis.settings.load_profile("test_explore_time")

    load()
    yield load
    hypothesis.settings.load_profile(before)


def wrong_from(limit):
    def test(number):
        if number >= limit:
            raise Wrong

    return test


def over_after(number):
    """A clock that says that the time is over once it was asked so often."""
    asked = []

    def is_over():
        asked.append(True)
        return len(asked) >= number

    return is_over


def explored(test, is_over, **options):
    numbers = []

    def wrapped(draw):
        numbers.append((draw.number(0, 1000), draw.number(0, 1000))[0])
        test(numbers[-1])

    options = {"key": "key", "examples": 10_000, "failures": Wrong, **options}
    return numbers, explore(wrapped, is_over=is_over, **options)


def test_no_example_is_drawn_once_the_time_is_over():
    numbers, outcome = explored(lambda _: None, over_after(40))
    assert len(numbers) == 40
    assert (outcome.failed, outcome.flaky, outcome.stopped) == (False, False, True)
    assert outcome.statistics == "key:\n\n  - Stopped because the time of fuzzing is used\n"


def test_the_first_example_runs_without_any_time_left():
    numbers, outcome = explored(lambda _: None, lambda: True, first=[[7, 8]])
    assert numbers == [7]
    assert outcome.stopped


def test_a_longer_time_begins_with_the_examples_of_a_shorter_one(profile):
    profile(derandomize=True)
    short, _ = explored(lambda _: None, over_after(15))
    long, _ = explored(lambda _: None, over_after(60))
    assert len(long) == 60
    assert long[:15] == short


def test_a_failure_is_shrunk_to_the_end_though_the_time_is_over():
    found = []

    def test(number):
        if number >= 50:
            found.append(number)
            raise Wrong

    numbers, outcome = explored(test, lambda: bool(found))
    assert outcome.failed
    assert not outcome.stopped
    assert numbers[-1] == 50


def test_a_number_of_examples_ends_before_the_time():
    numbers, outcome = explored(lambda _: None, lambda: False, examples=12)
    assert len(numbers) == 12
    assert not outcome.stopped


def test_an_example_that_is_not_run_stays_in_the_database(profile):
    kept = InMemoryExampleDatabase()
    profile(database=kept)
    explored(wrong_from(50), lambda: False, examples=100)
    before = set(kept.fetch(b"key"))
    numbers, outcome = explored(lambda _: None, lambda: True)
    assert len(numbers) == 1
    assert outcome.stopped
    assert before
    assert set(kept.fetch(b"key")) == before


def test_a_search_for_smaller_examples_that_hypothesis_ends_is_named(monkeypatch):
    monkeypatch.setattr(engine, "MAX_SHRINKS", 1)
    _, outcome = explored(wrong_from(50), lambda: False, examples=200)
    assert outcome.failed
    assert outcome.unshrunk.startswith("shrunk ")
