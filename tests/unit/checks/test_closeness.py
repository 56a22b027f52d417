"""How far apart values may lie, and how a message words it."""

from __future__ import annotations

from typing import cast

import pytest

from pytest_exportcheck.checks.closeness import Limit, Own, Rule
from pytest_exportcheck.policy import CLOSE
from pytest_exportcheck.records import Tolerance

USUAL = "1e-07 + 1e-05 of the largest value"


def limit(own=None, *, level="close", tolerance=None, unmeasured="", dtype="float32", largest=0.0):
    return Rule(level, tolerance, CLOSE, own, unmeasured).limit(dtype, largest)


@pytest.mark.parametrize(("level", "dtype"), [("bits", "float32"), ("structure", "float32"), ("close", "int64")])
def test_no_limit_where_values_must_be_equal(level, dtype):
    assert limit(Own(1e-6, 100.0), level=level, dtype=dtype) is None


def test_the_usual_bound_is_relative_to_the_largest_value():
    assert limit(largest=2.0) == Limit(1e-7 + 2e-5, USUAL)


def test_a_multiple_of_the_own_rounding_where_that_is_more():
    said = "1.2e-06, 4 times the difference between eager and eager in float64"
    assert limit(Own(3e-7, 50.0)) == Limit(cast("float", pytest.approx(1.2e-6)), said)
    assert limit(Own(3e-7, 50.0), largest=2.0) == Limit(1e-7 + 2e-5, USUAL)


@pytest.mark.parametrize(("dtype", "most"), [("float32", 8 * 2**-24), ("float16", 8 * 2**-11), ("bfloat16", 8 * 2**-8)])
def test_a_distance_is_rounding_up_to_eight_roundoffs_of_the_largest_value_of_the_call(dtype, most):
    assert limit(Own(100 * most, 100.0), dtype=dtype).size == 400 * most
    unbelieved = limit(Own(101 * most, 100.0), dtype=dtype)
    assert unbelieved.size == CLOSE[dtype].atol
    assert unbelieved.text.endswith("from eager in float64, more than rounding explains")


def test_a_distance_within_the_usual_bound_is_rounding():
    assert limit(Own(2e-5, 0.0), largest=2.0).size == pytest.approx(8e-5)


def test_an_unknown_rounding_leaves_the_usual_bound_and_says_why():
    assert limit(unmeasured="eager in float64 raises TypeError") == Limit(
        1e-7, f"{USUAL}; eager in float64 raises TypeError"
    )


def test_a_declared_tolerance_is_the_limit_whatever_eager_rounds():
    declared = Tolerance(rtol=0.0, atol=1e-3)
    for level in ("bits", "close"):
        assert limit(Own(1.0, 1e9), level=level, tolerance=declared).size == 1e-3


def test_within_rounding_means_within_nothing_else():
    assert limit(Own(3e-7, 50.0), level="rounding", largest=2.0).size == pytest.approx(1.2e-6)
    assert limit(level="rounding", largest=2.0) == Limit(0.0, "nothing")
    assert limit(Own(1.0, 50.0), level="rounding", largest=2.0).size == 0.0
