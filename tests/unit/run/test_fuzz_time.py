"""The time for fuzzing: how the items of a run share it."""

from __future__ import annotations

import pytest

from pytest_exportcheck.options import Fuzzing
from pytest_exportcheck.run.fuzz_time import FuzzTime


class Clock:
    """A clock that passes when told."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def parts(uses, *, seconds=60.0, items=3, processes=1):
    """The parts that items get which use these seconds each; None where an item is not fuzzed."""
    clock, given = Clock(), []
    time = FuzzTime(Fuzzing(seconds=seconds, processes=processes), clock)
    time.select(items)
    for used in uses:
        if used is not None:
            with time.part() as part:
                given.append(part)
                clock.now += used
        time.judged()
        clock.now += 1000  # captures take no time from fuzzing
    return given


def test_items_that_use_their_part_have_equal_parts():
    assert parts([20, 20, 20]) == [20, 20, 20]


def test_what_an_item_does_not_need_goes_to_the_items_after_it():
    assert parts([0, 10, 50]) == [20, 30, 50]


def test_an_item_that_is_not_fuzzed_leaves_its_part():
    assert parts([None, 30, 30]) == [30, 30]


def test_an_item_that_takes_longer_takes_from_the_items_after_it():
    assert parts([50, 5, 5]) == [20, 5, 5]
    assert parts([70, 5, 5]) == [20, 0, 0]


def test_a_worker_expects_its_part_of_the_items():
    assert parts([20, 20, 20], items=6, processes=2) == [20, 20, 20]


def test_a_worker_that_is_faster_gives_further_items_the_same():
    assert parts([20, 20, 20, 20], items=6, processes=2) == [20, 20, 20, 20]


def test_without_a_time_there_is_no_part():
    assert parts([20], seconds=None) == [None]


def test_an_item_that_raises_is_measured():
    clock = Clock()
    time = FuzzTime(Fuzzing(seconds=60), clock)
    time.select(2)
    with pytest.raises(ValueError, match="x"), time.part():
        clock.now += 40
        raise ValueError("x")
    time.judged()
    with time.part() as part:
        assert part == 20
