"""What a finding about outputs says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from pytest_exportcheck.checks import deduplicated, outputs, run_checks
from pytest_exportcheck.records import CallSite, Cause, Evidence, Finding, Record, Tolerance
from pytest_exportcheck.reports.wording import kind_of

NAN = float("nan")


@pytest.fixture
def findings(evidence, record_of):
    """The findings where the values before and after a stage are returned by a call."""

    def make(before, after, **options):
        return outputs.check(evidence(record_of(lambda: before), record_of(lambda: after), **options))

    return make


def summary(found):
    return [(each.place, kind_of(each), each.expected, each.actual, each.detail) for each in found]


@pytest.mark.parametrize("value", [torch.ones(2), {"a": [torch.ones(2), 3]}, None, 2.5, NAN, "text", ()])
def test_equal_outputs_are_no_finding(findings, value):
    assert findings(value, value) == []


def test_a_value_is_shown_at_the_first_place_that_differs(findings):
    after = torch.ones(2, 2)
    after[1] = 3
    assert findings(torch.ones(2, 2), after) == [
        Finding(
            check="outputs",
            place="output",
            change="changed",
            key="value",
            expected="1 at [1, 0]",
            actual="3 at [1, 0]",
            detail="2 of 4 elements differ, by at most 2",
            on=(CallSite("a call"),),
        )
    ]


@pytest.mark.parametrize(
    ("before", "after", "expected", "actual", "detail"),
    [
        (torch.tensor(1.0), torch.tensor(2.0), "1", "2", "1 of 1 elements differ, by at most 1"),
        (torch.tensor([0.0]), torch.tensor([-0.0]), "0 at [0]", "-0 at [0]", "1 of 1 elements differ, by at most 0"),
        (torch.tensor([1.0]), torch.tensor([NAN]), "1 at [0]", "nan at [0]", "1 of 1 elements differ, by at most nan"),
        (torch.tensor([True]), torch.tensor([False]), "True at [0]", "False at [0]", "1 of 1 elements differ"),
        (torch.tensor([3]), torch.tensor([4]), "3 at [0]", "4 at [0]", "1 of 1 elements differ"),
        (torch.tensor([1j]), torch.tensor([2j]), "1j at [0]", "2j at [0]", "1 of 1 elements differ, by at most 1"),
        (torch.eye(1).to_sparse(), 2 * torch.eye(1).to_sparse(), "1 at [0, 0]", "2 at [0, 0]", "1 of 1 elements differ, by at most 1"),
    ],
)  # fmt: skip
def test_values_of_every_kind_are_shown(findings, before, after, expected, actual, detail):
    assert summary(findings(before, after)) == [("output", "value", expected, actual, detail)]


def test_neighbouring_floats_are_told_apart_in_the_text(findings):
    one = torch.tensor([1.0])
    (finding,) = findings(one, torch.nextafter(one, one + 1))
    assert finding.expected != finding.actual


def test_values_of_a_nested_tensor_are_compared(findings):
    def nested(value):
        return torch.nested.nested_tensor([torch.ones(2), torch.tensor([value])], layout=torch.jagged)

    assert findings(nested(1.0), nested(1.0)) == []
    assert [kind_of(each) for each in findings(nested(1.0), nested(2.0))] == ["value"]


@pytest.mark.parametrize(
    ("after", "kind", "expected", "actual"),
    [
        (torch.ones(2, 1), "shape", "[2]", "[2, 1]"),
        (torch.ones(2).double(), "dtype", "float32", "float64"),
        (torch.ones(2, device="meta"), "device", "cpu", "meta"),
        (torch.ones(2).to_sparse(), "layout", "strided", "sparse_coo"),
        (torch.nn.Parameter(torch.ones(2)), "type", "Tensor", "Parameter"),
    ],
)
def test_another_fact_is_named(findings, after, kind, expected, actual):
    assert (kind, expected, actual) in [each[1:4] for each in summary(findings(torch.ones(2), after))]


def test_another_shape_is_not_compared_by_value(findings):
    assert [kind_of(each) for each in findings(torch.ones(2), torch.zeros(3))] == ["shape"]


def test_other_strides_are_named_and_values_still_compared(findings):
    found = findings(torch.ones(2, 3), torch.zeros(3, 2).t())
    assert summary(found)[0] == ("output", "stride", "[3, 1]", "[1, 2]", "of shape [2, 3]")
    assert [kind_of(each) for each in found] == ["stride", "value"]


def test_strides_of_dims_of_one_element_mean_nothing(findings):
    assert findings(torch.zeros(1, 3), torch.zeros(3, 1).t()) == []


def test_strides_of_empty_tensors_mean_nothing(findings):
    assert findings(torch.zeros(0, 3), torch.zeros(3, 0).t()) == []


def test_a_plain_value_is_shown_with_its_type(findings):
    assert summary(findings(2, 3)) == [("output", "value", "int 2", "int 3", "")]
    assert summary(findings(1, True)) == [("output", "type", "int 1", "bool True", "")]
    assert summary(findings(0.0, -0.0)) == [("output", "value", "float 0.0", "float -0.0", "")]


def test_a_tensor_that_became_a_number_is_of_another_type(findings):
    assert summary(findings(torch.tensor(2.0), 2.0)) == [("output", "type", "float32[] 2.0", "float 2.0", "")]


def test_another_container_is_another_structure(findings):
    (finding,) = findings((1, 2), [1, 2])
    assert (finding.place, kind_of(finding)) == ("output", "structure")
    assert "tuple" in finding.expected
    assert "list" in finding.actual


def test_another_key_is_another_structure(findings):
    assert [kind_of(each) for each in findings({"a": 1}, {"b": 1})] == ["structure"]


def test_a_call_that_raises_is_a_finding(evidence, record_of):
    def fail():
        raise ValueError("no kernel")

    (finding,) = outputs.check(evidence(record_of(lambda: 1), record_of(fail)))
    assert (finding.place, kind_of(finding), finding.expected) == ("the call", "raised", "outputs, as before")
    assert finding.actual.startswith("ValueError: no kernel\n(raised at ")


def test_a_call_that_raised_before_is_not_judged(evidence, record_of):
    assert outputs.check(evidence(record_of(lambda: 1 // 0), record_of(lambda: 1))) == []


def test_each_call_is_compared_with_its_own(evidence, record_of):
    before, after = (record_of(lambda: torch.rand(1), calls=2) for _ in range(2))
    assert outputs.check(evidence(before, after)) == []


def test_one_difference_on_two_calls_is_one_finding(evidence, record_of):
    before, after = record_of(lambda: 1, calls=2), record_of(lambda: 2, calls=2)
    (finding,) = run_checks(evidence(before, after))
    assert finding.on == (CallSite("a call 1"), CallSite("a call 2"))


def test_decompose_may_move_a_float_a_little(findings):
    near = torch.tensor([1.0, 1e-6]) + 1e-6
    assert findings(torch.tensor([1.0, 1e-6]), near, stage="decompose") == []
    assert len(findings(torch.tensor([1.0, 1e-6]), near, stage="serdes")) == 1


def test_too_far_for_decompose_says_what_was_allowed(findings):
    (finding,) = findings(torch.tensor([1.0]), torch.tensor([1.5]), stage="decompose")
    assert finding.detail == "1 of 1 elements differ, by at most 0.5 (allowed: 1e-07 + 1e-05 of the largest value)"


@pytest.mark.parametrize("after", [3, torch.tensor([3]), torch.tensor([True])])
def test_decompose_moves_no_integer(findings, after):
    before = 2 if isinstance(after, int) else torch.zeros_like(after)
    assert len(findings(before, after, stage="decompose")) == 1


@pytest.mark.parametrize(
    ("before", "after"), [([NAN, 1.0], [1.0, NAN]), ([float("inf")], [-float("inf")]), ([float("inf")], [1e38])]
)
def test_no_closeness_between_what_is_not_finite(findings, before, after):
    assert len(findings(torch.tensor(before), torch.tensor(after), stage="decompose")) == 1


def test_nan_and_infinity_in_the_same_places_are_close(findings):
    before, after = torch.tensor([NAN, float("inf"), 1.0]), torch.tensor([NAN, float("inf"), 1.0 + 1e-6])
    assert findings(before, after, stage="decompose") == []


def test_complex_numbers_are_close_part_by_part(findings):
    assert findings(torch.tensor([1 + 1j]), torch.tensor([1 + 1.000001j]), stage="decompose") == []
    assert len(findings(torch.tensor([1 + 1j]), torch.tensor([1 + 2j]), stage="decompose")) == 1


def test_the_tolerance_of_the_case_holds_on_every_edge(findings):
    options = {"tolerance": Tolerance(rtol=0.1, atol=0.0), "stage": "serdes"}
    assert findings(torch.tensor([10.0, 0.0]), torch.tensor([10.0, 0.9]), **options) == []
    assert len(findings(torch.tensor([10.0, 0.0]), torch.tensor([10.0, 1.1]), **options)) == 1


def test_random_outputs_are_compared_by_structure_only(findings):
    assert findings({"a": torch.zeros(2), "n": 1}, {"a": torch.ones(2), "n": 2}, random=True) == []
    assert [kind_of(each) for each in findings(torch.zeros(2), torch.ones(3), random=True)] == ["shape"]


def test_a_check_that_crashes_is_a_finding(evidence):
    nothing: Any = None
    broken = evidence(Record(observations=(nothing,)), Record(observations=(nothing,)))
    crashed = next(each for each in run_checks(broken) if each.place == "the check outputs")
    assert (crashed.check, kind_of(crashed), crashed.verdict) == ("internal", "failed", "engine_error")
    assert crashed.actual.startswith("AttributeError: ")
    assert crashed.detail.startswith("at pytest_exportcheck/checks/outputs.py:")


def test_only_checks_of_the_contract_run(record_of):
    before, after = record_of(lambda: 1), record_of(lambda: 2)
    assert run_checks(Evidence(case="", engine="", mode="", stage="", before=before, after=after, contract={})) == []


def test_findings_with_one_key_are_joined_and_the_first_is_kept():
    one, other = (
        Finding(
            check="outputs",
            place="output",
            change="changed",
            key="value",
            expected="1",
            actual=actual,
            on=(CallSite(on),),
        )
        for actual, on in (("2", "first"), ("3", "second"))
    )
    (joined,) = deduplicated([one, other])
    assert (joined.actual, joined.on) == ("2", (CallSite("first"), CallSite("second")))
    undeclared = replace(other, causes=(Cause("undeclared_inputs", "layout"),))
    assert deduplicated([one, undeclared, other]) == [joined, undeclared]
