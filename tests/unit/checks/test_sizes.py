"""Sizes that depend on symbols: equal under their ranges, or not."""

from __future__ import annotations

import pytest

from pytest_exportcheck.checks.compare.symbolic_sizes import same_size, value_at
from pytest_exportcheck.records import Interval
from tests.unit.records_of import size

RANGES = {"s": Interval(2, 10), "t": Interval(2, 10), "u": Interval(0, None)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (3, 3),
        ("s", "s"),
        ("2*(s + 1)", "2*s + 2"),
        ("s*t", "t*s"),
        ("Max(1, s)", "s"),
        ("Max(0, u)", "u"),
        ("floor(s/2) + Mod(s, 2)", "ceiling(s/2)"),
    ],
)
def test_what_is_equal_all_over_the_ranges_is_equal(one, other):
    left, right = (size(each) if isinstance(each, str) else each for each in (one, other))
    assert same_size(left, right, RANGES)
    assert same_size(right, left, RANGES)


@pytest.mark.parametrize(
    ("one", "other"),
    [(3, 4), ("s", "t"), ("s", 3), ("s", 2), ("2*s", "3*s"), ("floor(s/2)", "ceiling(s/2)"), ("s", "s + 1"), ("s*t", "s*s"),
     ("Mod(s, 2)", 0), ("Max(s, t)", "s"), ("Max(3, u)", "u")],
)  # fmt: skip
def test_what_differs_somewhere_in_the_ranges_differs(one, other):
    left, right = (size(each) if isinstance(each, str) else each for each in (one, other))
    assert not same_size(left, right, RANGES)
    assert not same_size(right, left, RANGES)


def test_a_symbol_without_a_range_is_tried_from_two_on():
    assert same_size(size("Max(1, v)"), size("v"), {})
    assert not same_size(size("v"), size("2*v"), {})


def test_a_symbol_of_one_value_is_that_value():
    assert same_size(size("s"), 3, {"s": Interval(3, 3)})


def test_an_expression_that_is_nowhere_a_number_is_not_equal_to_one():
    assert not same_size(size("1/(s - s)"), 3, RANGES)


def test_many_symbols_are_compared_too():
    assert same_size(size("s + t + u + v"), size("v + u + t + s"), RANGES)
    assert not same_size(size("s + t + u + v"), size("s + t + u + 2*v"), RANGES)


def test_a_difference_in_any_of_many_symbols_is_seen():
    """Not all settings are tried: those that are must not all have one symbol at its lowest."""
    total = size("s + t + u + v")
    unseen = [each for each in "stuv" if same_size(total, size(f"{total} - {each} + Min({each}, 2)"), {})]
    assert unseen == []


def test_a_difference_in_the_middle_of_a_range_is_seen():
    assert not same_size(size("floor(s/4)"), size("floor(s/5)"), RANGES)


def test_the_value_of_a_size():
    assert value_at(5, {}) == 5
    assert value_at(size("2*s + t"), {"s": 3, "t": 1}) == 7


def test_a_size_of_unknown_symbols_has_no_value():
    assert value_at(size("s + t"), {"s": 3}) is None


def test_a_size_that_is_no_number_has_no_value():
    assert value_at(size("1/s"), {"s": 0}) is None
