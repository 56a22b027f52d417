"""A test function over drawn numbers: some first, then random ones, shrunk to the smallest that fails."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import Phase, Verbosity
from hypothesis import strategies as st
from hypothesis.database import InMemoryExampleDatabase
from hypothesis.errors import DeadlineExceeded

from pytest_exportcheck.fuzz.hypothesis_driver import explore


class Wrong(Exception): ...


class TooLarge(Wrong): ...


class TooSmall(Wrong): ...


@pytest.fixture(autouse=True)
def profile():
    """A profile to run under; as it was, afterwards. Random, and without a database unless one is given."""
    before = hypothesis.settings.get_current_profile_name()

    def load(**options):
        hypothesis.settings.register_profile(
            "test_fuzz_explore", **{"database": None, "deadline": None, "derandomize": False, **options}
        )
        hypothesis.settings.load_profile("test_fuzz_explore")

    load()
    yield load
    hypothesis.settings.load_profile(before)


def tried(test=lambda number: None, *, high=1000, key="key", examples=30, first=(), failures=Wrong):
    """The numbers that one run tries, and what came of it."""
    numbers = []

    def wrapped(draw):
        numbers.append(draw.number(0, high))
        test(numbers[-1])

    return numbers, explore(wrapped, key=key, first=first, examples=examples, failures=failures)


def wrong_from(limit):
    def test(number):
        if number >= limit:
            raise Wrong

    return test


def test_so_many_examples_are_drawn():
    numbers, outcome = tried(examples=17)
    assert len(numbers) == 17
    assert len(set(numbers)) == 17
    assert (outcome.failed, outcome.flaky) == (False, False)


def test_numbers_are_within_their_range_both_ends_included():
    numbers, _ = tried(high=3, examples=100)
    assert set(numbers) == {0, 1, 2, 3}


def test_of_one_number_nothing_is_drawn():
    def test(draw):
        drawn.append((draw.number(7, 7), draw.number(0, 5)))

    drawn: list[tuple[int, int]] = []
    explore(test, key="key", first=[[3]], examples=5, failures=Wrong)
    assert drawn[0] == (7, 3)


def test_values_of_any_strategy_are_drawn():
    def test(draw):
        drawn.append(draw.value(st.sampled_from("ab")))

    drawn: list[str] = []
    explore(test, key="key", examples=20, failures=Wrong)
    assert set(drawn) == {"a", "b"}


def test_some_choices_are_tried_before_all_others():
    numbers, _ = tried(first=[[731], [12], [355]])
    assert set(numbers[:3]) == {731, 12, 355}


def test_the_first_choices_of_several_numbers_are_in_the_order_of_drawing():
    def test(draw):
        drawn.append((draw.number(0, 99), draw.number(5, 50)))

    drawn: list[tuple[int, int]] = []
    explore(test, key="key", first=[[81, 17], [33, 40]], examples=10, failures=Wrong)
    assert set(drawn[:2]) == {(81, 17), (33, 40)}


def test_the_first_choices_count_as_examples():
    assert len(tried(first=[[731], [12], [355]], examples=10)[0]) == 10


def test_one_example_is_enough_where_there_is_no_choice():
    assert tried(high=0, examples=30)[0] == [0]


@pytest.mark.parametrize("first", [[], [[731]]])
def test_the_last_example_is_the_smallest_that_fails(first):
    numbers, outcome = tried(wrong_from(417), first=first, examples=100)
    assert outcome.failed
    assert not outcome.flaky
    assert numbers[-1] == 417


def test_a_first_choice_that_fails_is_shrunk():
    numbers, outcome = tried(wrong_from(990), first=[[997]], examples=3)
    assert outcome.failed
    assert (numbers[0], numbers[-1]) == (997, 990)


def test_every_class_of_failure_has_its_smallest_example():
    def test(number):
        if number > 600:
            smallest[TooLarge] = number
            raise TooLarge
        if 200 < number < 300:
            smallest[TooSmall] = number
            raise TooSmall

    smallest: dict[type[Wrong], int] = {}
    _, outcome = tried(test, first=[[250], [900]], examples=100)
    assert outcome.failed
    assert smallest == {TooLarge: 601, TooSmall: 201}


def test_one_class_that_is_raised_in_two_places_is_two_failures():
    def test(number):
        if number > 600:
            raise Wrong
        if 200 < number < 300:
            raise Wrong

    _, outcome = tried(test, first=[[250], [900]], examples=100)
    assert outcome.failed


def test_examples_may_be_dropped():
    def test(number):
        if number % 2:
            hypothesis.reject()
        kept.append(number)

    kept: list[int] = []
    numbers, outcome = tried(test, examples=20)
    assert not outcome.failed
    assert len(kept) == 20 < len(numbers)


def test_where_all_are_dropped_nothing_failed():
    numbers, outcome = tried(lambda number: hypothesis.reject(), examples=5)
    assert numbers
    assert not outcome.failed


def test_what_does_not_fail_again_is_flaky():
    def test(number):
        if number == 731 and not seen:
            seen.append(number)
            raise Wrong

    seen = []
    _, outcome = tried(test, first=[[731]])
    assert (outcome.failed, outcome.flaky) == (True, True)


@pytest.mark.parametrize("error", [ValueError, RuntimeError, AssertionError])
def test_other_exceptions_come_through(error):
    def test(number):
        if number > 10:
            raise error("stop")

    with pytest.raises(error, match=r"^stop$"):
        tried(test)


def test_other_exceptions_beside_failures_come_through():
    def test(number):
        if number > 600:
            raise Wrong
        if number < 100:
            raise ValueError("stop")

    with pytest.raises(Exception, match="distinct failures") as raised:
        tried(test, first=[[5], [900]])
    # an ExceptionGroup, which is no builtin of Python 3.10
    group = raised.value.exceptions  # type: ignore[attr-defined]
    assert {type(each) for each in group} == {Wrong, ValueError}


def test_an_interrupt_comes_through():
    def test(number):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tried(test)


@pytest.mark.parametrize("test", [lambda number: None, wrong_from(3)])
def test_nothing_is_printed(capsys, test):
    tried(test, first=[[731]])
    assert capsys.readouterr() == ("", "")


def test_a_profile_may_ask_for_more_words(capsys, profile):
    profile(verbosity=Verbosity.verbose)
    tried(examples=2)
    assert capsys.readouterr().out


def test_statistics_are_told_under_the_key():
    _, outcome = tried(wrong_from(417), key="case_net::net[torch-strict]", first=[[731]])
    assert outcome.statistics.startswith("case_net::net[torch-strict]:\n")
    assert "during generate phase" in outcome.statistics or "during reuse phase" in outcome.statistics


@pytest.mark.parametrize(("examples", "expected"), [(1, {731}), (2, {731, 355}), (3, {731, 355, 12})])
def test_of_too_many_first_choices_those_that_come_first_are_tried(examples, expected):
    assert set(tried(first=[[731], [355], [12], [7]], examples=examples)[0]) == expected


def test_a_failure_that_was_kept_is_tried_before_too_many_first_choices(profile):
    profile(database=InMemoryExampleDatabase())
    tried(wrong_from(417), first=[[731]])
    numbers, outcome = tried(wrong_from(417), first=[[number] for number in range(20)], examples=3)
    assert outcome.failed
    assert numbers[-1] == 417


def test_a_database_keeps_the_failure_for_the_next_run(profile):
    profile(database=InMemoryExampleDatabase())
    assert tried(wrong_from(417), key="mine", first=[[731]])[0][-1] == 417
    numbers, outcome = tried(wrong_from(417), key="mine")
    assert outcome.failed
    assert numbers[0] == 417


def test_another_key_does_not_find_it(profile):
    profile(database=InMemoryExampleDatabase())
    tried(wrong_from(417), key="mine", first=[[731]])
    assert tried(key="another")[0][0] != 417


def test_every_kind_of_failure_is_kept(profile):
    def test(number):
        if number > 600:
            raise TooLarge
        if 200 < number < 300:
            raise TooSmall

    profile(database=InMemoryExampleDatabase())
    tried(test, first=[[250], [900]], examples=100)
    assert {201, 601} <= set(tried(test, examples=100)[0][:4])


def test_what_fails_no_more_is_forgotten(profile):
    profile(database=InMemoryExampleDatabase())
    tried(wrong_from(417), first=[[731]])
    assert tried()[0][0] == 417
    assert 417 not in tried()[0][:1]


def test_first_choices_are_not_kept(profile):
    database = InMemoryExampleDatabase()
    profile(database=database)
    tried(first=[[731]])
    assert list(database.fetch(b"key")) == []


def test_without_the_phase_that_reuses_nothing_kept_is_tried_but_the_first_choices_are(profile):
    database = InMemoryExampleDatabase()
    profile(database=database)
    tried(wrong_from(417), first=[[731]])
    profile(database=database, phases=[Phase.generate, Phase.shrink])
    numbers, _ = tried(first=[[55]])
    assert numbers[0] == 55
    assert 417 not in numbers[:2]


def test_without_the_phase_that_shrinks_the_failure_stays_as_it_was_found(profile):
    profile(phases=[Phase.generate])
    numbers, outcome = tried(wrong_from(417), first=[[731]])
    assert outcome.failed
    assert set(numbers) == {731}


def test_without_the_phase_that_generates_only_the_first_choices_are_tried(profile):
    profile(phases=[Phase.reuse])
    assert sorted(tried(first=[[731], [12]])[0]) == [12, 731]


def test_a_derandomized_profile_repeats(profile):
    profile(derandomize=True)
    one, other = tried(first=[[731]])[0], tried(first=[[731]])[0]
    assert one == other
    assert len(set(one)) == 30


@pytest.mark.parametrize("derandomize", [True, False])
def test_many_first_choices_are_all_tried_before_others(profile, derandomize):
    profile(derandomize=derandomize)
    first = [[number * 31] for number in range(1, 20)]
    assert sorted(tried(first=first)[0][:19]) == [number * 31 for number in range(1, 20)]


def test_and_draws_other_numbers_under_another_key(profile):
    profile(derandomize=True)
    assert tried(key="one")[0] != tried(key="other")[0]


def test_and_finds_and_shrinks_failures(profile):
    profile(derandomize=True)
    numbers, outcome = tried(wrong_from(417), first=[[731]])
    assert (outcome.failed, outcome.flaky, numbers[-1]) == (True, False, 417)


def test_a_profile_is_as_it_was_afterwards(profile):
    profile(max_examples=3, derandomize=True)
    tried()
    assert (hypothesis.settings.default.max_examples, hypothesis.settings.default.derandomize) == (3, True)


def test_examples_of_the_options_go_before_those_of_the_profile(profile):
    profile(max_examples=3)
    assert len(tried(examples=12)[0]) == 12


def test_the_default_profile_sets_no_deadline():
    hypothesis.settings.load_profile("default")
    assert hypothesis.settings.default.deadline is not None

    def slow(number):
        import time

        time.sleep(0.3)

    assert not tried(slow, high=0)[1].failed


def test_a_profile_that_says_nothing_of_deadlines_has_none(profile):
    profile(deadline=200)  # what it inherits

    def slow(number):
        import time

        time.sleep(0.3)

    assert not tried(slow, high=0)[1].failed


def test_an_error_of_another_kind_that_does_not_repeat_comes_through():
    calls = []

    def test(number):
        calls.append(number)
        if len(calls) == 3:
            raise ZeroDivisionError("once")

    with pytest.raises(Exception) as raised:
        tried(test)
    assert "once" in "".join(map(str, getattr(raised.value, "exceptions", [raised.value])))


def test_the_deadline_of_a_users_own_profile_holds(profile):
    profile(deadline=1)

    def slow(number):
        import time

        time.sleep(0.01)

    with pytest.raises(DeadlineExceeded):
        tried(slow, high=0)
