"""Choices tried first, drawn, and shrunk; and what of hypothesis's settings holds."""

from __future__ import annotations

from contextlib import contextmanager

import hypothesis
import pytest
from hypothesis import Phase
from hypothesis import strategies as st
from hypothesis.database import InMemoryExampleDatabase

from pytest_exportcheck.fuzz.explore import explore


class Wrong(Exception):
    pass


class Worse(Wrong):
    pass


@contextmanager
def profile(**options):
    """hypothesis's settings as a user's profile has them."""
    before = hypothesis.settings.get_current_profile_name()
    hypothesis.settings.register_profile("of a test", hypothesis.settings.get_profile("default"), **options)
    hypothesis.settings.load_profile("of a test")
    try:
        yield
    finally:
        hypothesis.settings.load_profile(before)


def run(fails, *, first=(), examples=40, key="test", high=1000):
    """What was drawn, in order, and what came of it."""
    seen = []

    def test(draw):
        pair = draw.number(0, high), draw.number(5, 50)
        seen.append(pair)
        fails(*pair)

    return seen, explore(test, key=key, first=first, examples=examples, failures=Wrong)


def never(*_):
    return None


def at_777(a, _):
    if a == 777:
        raise Wrong


def large(a, b):
    if a >= 100 and b >= 20:
        raise Wrong


def test_what_is_given_comes_before_what_is_drawn():
    first = [[777, 6], [5, 50], [0, 5]]
    seen, explored = run(never, first=first)
    assert sorted(seen[:3]) == sorted(map(tuple, first)) and len(set(seen)) == 40
    assert not explored.failed and "3 passing, 0 failing" in explored.statistics and "37 passing" in explored.statistics


def test_what_fails_is_shrunk_and_run_last():
    seen, explored = run(large, first=[[900, 40]])
    assert explored.failed and seen[-1] == (100, 20)


def test_each_kind_of_failure_is_shrunk_by_itself():
    smallest = {}

    def fails(a, b):
        if a >= 100:
            smallest[Wrong] = (a, b)
            raise Wrong
        if b >= 30:
            smallest[Worse] = (a, b)
            raise Worse

    _, explored = run(fails, first=[[900, 10], [3, 40]])
    assert explored.failed and smallest == {Wrong: (100, 5), Worse: (0, 30)}


def test_a_range_of_one_number_takes_no_choice():
    seen = []
    explore(
        lambda draw: seen.append((draw.number(7, 7), draw.number(0, 9))),
        key="k",
        first=[[4]],
        examples=1,
        failures=Wrong,
    )
    assert seen == [(7, 4)]


def test_a_test_that_draws_nothing_runs_once():
    seen = []
    explore(lambda draw: seen.append(1), key="k", examples=50, failures=Wrong)
    assert seen == [1]


def test_values_of_any_strategy():
    seen = []
    explore(lambda draw: seen.append(draw.value(st.text())), key="k", examples=20, failures=Wrong)
    assert len(seen) == 20 and all(isinstance(each, str) for each in seen)


def test_a_failure_is_kept_and_tried_first_next_time():
    database = InMemoryExampleDatabase()
    with profile(database=database):
        assert run(at_777, first=[[777, 9]])[1].failed
        seen, explored = run(at_777)
        assert explored.failed and seen[0] == (777, 5)
        assert not run(at_777, key="another")[1].failed or run(at_777, key="another")[0][0] != (777, 5)


def test_what_is_tried_first_is_not_kept():
    database = InMemoryExampleDatabase()
    with profile(database=database):
        run(never, first=[[777, 9]])
    assert all(not list(values) for values in database.data.values())


def test_a_profile_that_forgets_failures_has_what_comes_first_all_the_same():
    database = InMemoryExampleDatabase()
    with profile(database=database):
        run(at_777, first=[[777, 9]])
    with profile(database=database, phases=[Phase.generate, Phase.shrink]):
        seen, explored = run(at_777, first=[[3, 9]])
        assert seen[0] == (3, 9) and not explored.failed


def test_a_derandomized_profile_repeats_and_differs_by_key():
    with profile(derandomize=True, database=None):
        one, two, other = run(never)[0], run(never)[0], run(never, key="another")[0]
    assert one == two != other


def test_seeds_are_drawn_anew_otherwise():
    with profile(derandomize=False, database=None):
        assert run(never)[0] != run(never)[0]


def test_there_is_no_deadline_unless_a_profile_has_one():
    def slow(*_):
        import time

        time.sleep(0.3)

    before = hypothesis.settings.get_current_profile_name()
    hypothesis.settings.load_profile("default")
    try:
        assert not run(slow, examples=2)[1].failed
    finally:
        hypothesis.settings.load_profile(before)


def test_a_test_that_does_not_repeat_is_flaky():
    calls = []

    def fails(a, _):
        calls.append(a)
        if len(calls) == 3:
            raise Wrong

    explored = run(fails)[1]
    assert explored.failed and explored.flaky


def test_other_errors_come_through():
    def fails(*_):
        raise ZeroDivisionError("no")

    with pytest.raises(ZeroDivisionError, match="no"):
        run(fails)


def test_a_test_that_rejects_everything_is_no_failure():
    def fails(*_):
        hypothesis.reject()

    assert not run(fails)[1].failed


def test_nothing_is_printed(capsys):
    run(large, first=[[900, 40]])
    assert capsys.readouterr() == ("", "")
