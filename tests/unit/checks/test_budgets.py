"""Budgets: what is measured, which values fail, and how a finding words them."""

from __future__ import annotations

import math

import pytest
import torch

from pytest_exportcheck.checks.closeness import Rule
from pytest_exportcheck.checks.compare.budgets import measured
from pytest_exportcheck.checks.compare.tensors import value_difference
from pytest_exportcheck.policy import CLOSE
from pytest_exportcheck.records import Agreement
from pytest_exportcheck.records.budgets import names_output

NAN, INF = math.nan, math.inf


def texts(expected: torch.Tensor, actual: torch.Tensor, budget: Agreement) -> tuple[str, ...] | None:
    """The expected value, the actual one and the detail; None where the budget is met."""
    rule = Rule("close", None, CLOSE, agreement=budget)
    found = [(each.expected, each.actual, each.detail) for each in value_difference(expected, actual, rule)]
    assert len(found) <= 1
    return found[0] if found else None


ALL = Agreement(sqnr_db=0.5, cosine=0.5, top1=0.5, max_abs=0.5)


def value(expected: torch.Tensor, actual: torch.Tensor, name: str) -> float | None:
    """The value of one measure."""
    found = [each for each in measured(expected, actual, ALL) if each.name == name]
    return found[0].value if found else None


@pytest.mark.parametrize(
    ("name", "expected", "actual", "got"),
    [
        ("sqnr_db", [3.0, 4.0], [3.0, 4.5], 20.0),
        ("sqnr_db", [3.0, 4.0], [3.0, 4.0], INF),
        ("sqnr_db", [0.0, 0.0], [0.0, 1e-9], -INF),
        ("sqnr_db", [1e300, 0.0], [1e300, 1e299], 20.0),
        ("sqnr_db", [1e-300, 0.0], [1e-300, 1e-301], 20.0),
        ("cosine", [1.0, 0.0], [1.0, 1.0], math.sqrt(0.5)),
        ("cosine", [1.0, 2.0], [2.0, 4.0], 1.0),
        ("cosine", [1.0, 2.0], [-1.0, -2.0], -1.0),
        ("cosine", [1e200, 2e200], [1e-200, 2e-200], 1.0),
        ("cosine", [0.0, 0.0], [0.0, 0.0], 1.0),
        ("cosine", [0.0, 0.0], [0.0, 1.0], 0.0),
        ("top1", [[1.0, 2.0], [4.0, 3.0]], [[1.0, 3.0], [3.0, 4.0]], 0.5),
        ("top1", [[2.0, 2.0, 1.0]], [[1.0, 2.0, 0.0]], 1.0),  # a tie: either index is right
        ("top1", [[-INF, 2.0, 3.0]], [[-INF, 1.0, 2.0]], 1.0),
        ("top1", [[NAN, 2.0, 3.0]], [[NAN, 1.0, 2.0]], 1.0),
        ("top1", [[NAN, NAN]], [[NAN, NAN]], 1.0),
        ("max_abs", [1.0, -2.0], [1.5, -2.0], 0.5),
        ("max_abs", [INF, 1.0], [INF, 1.25], 0.25),
        ("max_abs", [NAN], [NAN], 0.0),
        ("max_abs", [1 + 2j], [1 + 4j], 2.0),
        ("top1", [1, 2], [1, 4], 0.5),
        ("top1", [True, False], [True, True], 0.5),
    ],
)
def test_a_measure(name: str, expected: list[float], actual: list[float], got: float) -> None:
    one, other = torch.tensor(expected), torch.tensor(actual)
    wide = one.is_floating_point()
    one, other = (
        torch.tensor(each, dtype=torch.float64) if wide else torch.tensor(each) for each in (expected, actual)
    )
    assert value(one, other, name) == pytest.approx(got)


@pytest.mark.parametrize(
    ("tensor", "name"),
    [
        (torch.zeros(2, dtype=torch.int64), "sqnr_db"),
        (torch.zeros(2, dtype=torch.int64), "cosine"),
        (torch.zeros(2, dtype=torch.int64), "max_abs"),
        (torch.zeros(2, dtype=torch.bool), "max_abs"),
        (torch.zeros(2, dtype=torch.complex64), "top1"),
        (torch.zeros(()), "top1"),
        (torch.zeros(3, 1), "top1"),
        (torch.zeros(0, 3), "sqnr_db"),
        (torch.zeros(0, 3), "top1"),
    ],
)
def test_a_measure_that_says_nothing_of_a_tensor_is_left_out(tensor: torch.Tensor, name: str) -> None:
    assert value(tensor, tensor, name) is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_low_precision_is_measured(dtype: torch.dtype) -> None:
    expected, actual = torch.tensor([1.0, 2.0]).to(dtype), torch.tensor([1.0, 1.5]).to(dtype)
    assert value(expected, actual, "max_abs") == 0.5


def test_a_failing_measure_is_named_with_its_limit_and_its_value() -> None:
    assert texts(
        torch.tensor([3.0, 4.0]), torch.tensor([3.0, 4.5]), Agreement(sqnr_db=30, cosine=0.9, max_abs=0.1)
    ) == (
        "sqnr_db at least 30 and max_abs at most 0.1",
        "sqnr_db 20 and max_abs 0.5",
        "1 of 2 elements differ, by at most 0.5",
    )


def test_a_met_budget_is_no_difference_however_far_from_closeness() -> None:
    assert texts(torch.tensor([3.0, 4.0]), torch.tensor([3.0, 4.5]), Agreement(sqnr_db=19.9)) is None


def test_a_value_has_the_digits_that_distinguish_it_from_its_limit() -> None:
    got = texts(torch.ones(1), torch.full((1,), 1.5000001), Agreement(max_abs=0.5))
    assert got is not None
    assert got[:2] == ("max_abs at most 0.5", "max_abs 0.5000001")


def test_values_that_are_not_finite_must_be_in_the_same_places() -> None:
    assert texts(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.1, NAN]]), Agreement(max_abs=9)) == (
        "2 at [0, 1]",
        "nan at [0, 1]",
        "1 of 2 elements are NaN or infinite on one side; a budget is for finite values",
    )
    assert texts(torch.tensor([INF]), torch.tensor([-INF]), Agreement(cosine=-1)) is not None
    assert texts(torch.tensor([INF, NAN, 1.0]), torch.tensor([INF, NAN, 1.5]), Agreement(max_abs=1)) is None


def test_a_signal_of_zeros_says_what_to_do() -> None:
    assert texts(torch.zeros(2), torch.tensor([0.0, 1e-9]), Agreement(sqnr_db=30)) == (
        "sqnr_db at least 30",
        "sqnr_db -inf",
        "1 of 2 elements differ, by at most 1e-09\n"
        "every expected value is 0, so that sqnr_db and cosine allow no error: give this output max_abs",
    )
    assert texts(torch.zeros(2), torch.tensor([0.0, 1e-9]), Agreement(max_abs=1e-8)) is None


def test_what_no_measure_says_anything_of_must_be_close_or_equal() -> None:
    assert texts(torch.tensor([1, 2]), torch.tensor([1, 3]), Agreement(sqnr_db=1)) == (
        "2 at [1]",
        "3 at [1]",
        "1 of 2 elements differ",
    )
    assert texts(torch.tensor([True]), torch.tensor([False]), Agreement(max_abs=5)) is not None
    assert texts(torch.tensor([1.0]), torch.tensor([1.1]), Agreement(top1=0.5)) is not None


def test_an_empty_tensor_agrees() -> None:
    assert texts(torch.empty(0, 3), torch.empty(0, 3), Agreement(sqnr_db=99, top1=1)) is None


@pytest.mark.parametrize(
    ("name", "named"),
    [
        (0, ["output['logits']"]),
        ("0", ["output['logits']"]),
        (-1, []),
        ("logits", ["output['logits']"]),
        ("output['logits']", ["output['logits']"]),
        ("['logits']", ["output['logits']"]),
        ("states", ["output['states'][0]", "output['states'][1]"]),
        ("['states'][1]", ["output['states'][1]"]),
        ("output", ["output['logits']", "output['states'][0]", "output['states'][1]"]),
        ("logit", []),
    ],
)
def test_an_output_is_named_by_number_or_path(name: int | str, named: list[str]) -> None:
    places = ["output['logits']", "output['states'][0]", "output['states'][1]"]
    assert [place for number, place in enumerate(places) if names_output(name, place, number)] == named


def test_an_attribute_is_named_too() -> None:
    assert names_output("scores", "output.scores", 3)
    assert not names_output("score", "output.scores", 3)


def test_the_longest_name_gives_the_budget() -> None:
    all_, states, last = Agreement(top1=1), Agreement(sqnr_db=1), Agreement(sqnr_db=2)
    budget = Agreement(top1=1, outputs={"states": states, "output['states'][1]": last})
    places = ["output['logits']", "output['states'][0]", "output['states'][1]"]
    found = [budget.of(place, number).limits for number, place in enumerate(places)]
    assert found == [all_.limits, states.limits, last.limits]
