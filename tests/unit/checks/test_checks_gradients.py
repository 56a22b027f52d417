"""What a finding about gradients says."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch

from pytest_exportcheck.checks import gradients
from pytest_exportcheck.records import (
    CallSite,
    Finding,
    Gradients,
    Leaf,
    Observation,
    Raised,
    Record,
    Rounding,
    TensorFacts,
    Tolerance,
)
from pytest_exportcheck.reports.wording import kind_of
from tests.unit.records_of import state, summary

ONE = torch.ones(1)
FACTS = partial(TensorFacts, type="Tensor", shape=(1,), dtype="float32", device="cpu", layout="strided", stride=(1,))


def called(values=None, *, raised=None, requires_grad=True, has_grad_fn=True, tensors=(), fails=None):
    """A record of one call whose backward gave these gradients; None where no output requires grad."""
    facts = FACTS(requires_grad=requires_grad, has_grad_fn=has_grad_fn)
    given = None if values is None and raised is None else Gradients(values or {}, raised)
    call = Observation(label="a call", outputs=(Leaf("output", ONE, facts),), gradients=given, raised=fails)
    return Record(observations=(call,), state=state(*tensors) if tensors else None)


@pytest.fixture
def findings(evidence):
    def make(before, after, *, stage="serdes", **options):
        return gradients.check(evidence(before, after, stage=stage, **options))

    return make


@pytest.mark.parametrize("values", [{"w": ONE}, {"w": None}, {}, None])
def test_equal_gradients_are_no_finding(findings, values):
    assert findings(called(values), called(values)) == []


def test_another_gradient_is_shown_where_it_differs(findings):
    assert findings(called({"w": torch.ones(2)}), called({"w": torch.tensor([1.0, 3.0])})) == [
        Finding(
            check="gradients",
            place="w",
            change="changed",
            key="value",
            expected="1 at [1]",
            actual="3 at [1]",
            detail="1 of 2 elements differ, by at most 2",
            on=(CallSite("a call"),),
        )
    ]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (ONE, None, ("w", "dropped", "float32[1] [1.0]", "no gradient")),
        (None, ONE, ("w", "gained", "no gradient", "float32[1] [1.0]")),
        (ONE, torch.ones(2), ("w", "value", "float32[1] [1.0]", "float32[2] [1.0, 1.0]")),
    ],
)
def test_a_gradient_that_came_or_went_is_named(findings, before, after, expected):
    assert summary(findings(called({"w": before}), called({"w": after}))) == [expected]


def test_a_name_that_is_gone_is_the_business_of_state(findings):
    assert findings(called({"w": ONE}), called({})) == []


def test_a_backward_that_raises_is_a_finding(findings):
    raised = Raised("RuntimeError", "modified by an inplace operation")
    assert summary(findings(called({"w": ONE}), called(raised=raised))) == [
        ("backward", "raised", "gradients, as before", "RuntimeError: modified by an inplace operation"),
    ]


def test_outputs_that_no_longer_require_grad_have_no_backward(findings):
    found = findings(called({"w": ONE}), called(requires_grad=False, has_grad_fn=False))
    assert summary(found) == [
        ("output", "requires_grad", "requires_grad=True", "requires_grad=False"),
        ("output", "grad_fn", "a grad_fn", "no grad_fn"),
        ("backward", "raised", "gradients, as before", "no output requires grad"),
    ]


def test_where_eager_raises_there_is_nothing_to_compare(findings):
    assert findings(called(raised=Raised("RuntimeError", "no")), called({"w": ONE})) == []


def test_a_call_that_raises_is_not_judged(findings):
    assert findings(called({"w": ONE}), called(fails=Raised("ValueError", "no"))) == []


def test_lowering_does_not_promise_which_outputs_require_grad(findings):
    assert findings(called(None), called(None, requires_grad=False), stage="decompose") == []


@pytest.mark.parametrize("stage", ["decompose", "nonstrict_postdispatch"])
def test_lowering_moves_gradients_a_little(findings, stage):
    assert findings(called({"w": ONE}), called({"w": ONE + 1e-6}), stage=stage) == []
    assert len(findings(called({"w": ONE}), called({"w": ONE + 1e-3}), stage=stage)) == 1


def test_a_tolerance_of_the_case_holds_everywhere(findings):
    options = {"tolerance": Tolerance(rtol=0.0, atol=0.5)}
    assert findings(called({"w": ONE}), called({"w": ONE + 0.4}), **options) == []


def test_where_eager_is_unstable_gradients_are_compared_closely(findings, evidence):
    close = {"gradients": "close"}
    assert findings(called({"w": ONE}), called({"w": ONE + 1e-6}), contract=close) == []


def test_of_random_models_no_gradients_are_compared(findings):
    assert findings(called({"w": ONE}), called({"w": 2 * ONE}), random=True) == []


def test_gradients_of_tensors_that_were_tied_are_summed(findings):
    tied, split = torch.ones(1), (torch.ones(1), torch.ones(1))
    before = called({"a": 3 * ONE}, tensors=[("a", "parameter", tied), ("b", "parameter", tied)])
    after = called({"a": ONE, "b": 2 * ONE}, tensors=[("a", "parameter", split[0]), ("b", "parameter", split[1])])
    assert findings(before, after) == []


def test_a_part_of_a_sum_may_have_no_gradient(findings):
    tied, split = torch.ones(1), (torch.ones(1), torch.ones(1))
    before = called({"a": ONE}, tensors=[("a", "parameter", tied), ("b", "parameter", tied)])
    after = called({"a": None, "b": ONE}, tensors=[("a", "parameter", split[0]), ("b", "parameter", split[1])])
    assert findings(before, after) == []


def test_a_tied_tensor_that_is_left_under_its_other_name_is_found_there(findings):
    tied, left = torch.ones(1), torch.ones(1)
    before = called({"a": ONE}, tensors=[("a", "parameter", tied), ("b", "parameter", tied)])
    after = called({"b": 2 * ONE}, tensors=[("b", "parameter", left)])
    assert [(each.place, kind_of(each)) for each in findings(before, after)] == [("a", "value")]


def test_gradients_of_other_outputs_mean_nothing(findings):
    after = called({"w": 2 * ONE})
    object.__setattr__(after.observations[0], "outputs", (replace(after.observations[0].outputs[0], value=2 * ONE),))
    assert findings(called({"w": ONE}), after) == []


def test_outputs_of_another_structure_are_the_business_of_outputs(findings):
    after = called({"w": 2 * ONE})
    object.__setattr__(after.observations[0], "structure", "another")
    object.__setattr__(after.observations[0], "outputs", ())
    assert findings(called({"w": ONE}), after) == []


def measured(own, top, exact=0.0):
    rounding = Rounding(
        values={}, gradients={"k.bias": own}, scale=1.0, gradient_scale=top, exact_gradients={"k.bias": exact}
    )
    return {"a call": rounding}


@pytest.mark.parametrize(("elements", "off", "wrong"), [(16, 1.1e-6, False), (16, 1.3e-6, True), (15, 1.3e-6, False)])
def test_decompose_may_move_a_gradient_by_a_few_times_its_own_rounding(findings, elements, off, wrong):
    """Of few elements the distance from float64 says little: an eighth of a roundoff of the largest gradient is the least."""
    before, after = torch.zeros(elements), torch.full((elements,), off)
    found = findings(
        called({"k.bias": before}), called({"k.bias": after}), stage="decompose", rounding=measured(3e-7, 48.0)
    )
    assert bool(found) is wrong


def test_a_gradient_of_few_elements_is_still_found(findings):
    (found,) = findings(
        called({"k.bias": torch.zeros(2)}),
        called({"k.bias": torch.full((2,), 1e-5)}),
        stage="decompose",
        rounding=measured(0.0, 48.0),
    )
    assert found.detail == (
        "2 of 2 elements differ, by at most 1e-05 (allowed: 1.43e-06, 4 times the difference between eager and eager in float64)"
    )


@pytest.mark.parametrize(("exact", "wrong"), [(2**-30, False), (2**-29, True)])
def test_only_a_gradient_that_is_zero_in_float64_has_a_least_rounding(findings, exact, wrong):
    before, after = torch.full((2,), 1.2e-6), torch.zeros(2)
    rounding = measured(0.0, 48.0, exact * 48)
    assert (
        bool(findings(called({"k.bias": before}), called({"k.bias": after}), stage="decompose", rounding=rounding))
        is wrong
    )
