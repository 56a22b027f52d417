"""What a finding about shared storage says."""

from __future__ import annotations

import pytest
import torch

from pytest_exportcheck.checks import aliasing
from pytest_exportcheck.records import CallSite, Finding, Observation, Raised, Record
from pytest_exportcheck.reports.wording import kind_of
from tests.unit.records_of import state, summary

W = torch.ones(1)


def called(*aliases, tensors=None, raised=None, structure="one tensor"):
    call = Observation(label="a call", structure=structure, aliases=frozenset(aliases), raised=raised)
    return Record(observations=(call,), state=None if tensors is None else state(*tensors))


@pytest.fixture
def findings(evidence):
    return lambda before, after: aliasing.check(evidence(before, after))


VIEW = ("output", "args[0]")


def test_the_same_aliases_are_no_finding(findings):
    assert findings(called(VIEW), called(VIEW)) == []


def test_an_output_that_became_a_copy_is_a_finding(findings):
    assert findings(called(VIEW), called()) == [
        Finding(
            check="aliasing",
            place="output and args[0]",
            change="dropped",
            expected="shares storage with args[0]",
            actual="does not",
            on=(CallSite("a call"),),
        )
    ]


def test_an_output_that_became_a_view_is_a_finding(findings):
    assert summary(findings(called(), called(VIEW))) == [
        ("output and args[0]", "new", "does not share storage with args[0]", "does"),
    ]


@pytest.mark.parametrize("after", [called(raised=Raised("E", "m")), called(structure="another")])
def test_a_call_that_raised_or_returned_something_else_is_not_judged(findings, after):
    assert findings(called(VIEW), after) == []


def test_a_tied_name_that_is_gone_is_the_other_name(findings):
    before = called(("output", "b"), tensors=[("a", "parameter", W), ("b", "parameter", W)])
    after = called(("output", "a"), tensors=[("a", "parameter", W)])
    assert findings(before, after) == []


def test_a_constant_may_have_another_name(findings):
    before = called(("output", "table"), tensors=[("table", "attribute", W)])
    after = called(("output", "lifted_tensor_0"), tensors=[("lifted_tensor_0", "buffer", W)])
    assert findings(before, after) == []


def test_state_of_another_name_is_a_finding(findings):
    tensors = [("a", "buffer", torch.ones(1)), ("b", "buffer", torch.ones(1))]
    found = findings(called(("output", "a"), tensors=tensors), called(("output", "b"), tensors=tensors))
    assert [(each.place, kind_of(each)) for each in found] == [("output and a", "broken"), ("output and b", "new")]


def test_an_input_is_not_taken_for_a_constant(findings):
    before = called(("output", "args[0]"), tensors=[("w", "buffer", W)])
    after = called(("output", "lifted"), tensors=[("w", "buffer", W), ("lifted", "attribute", torch.ones(2))])
    assert [kind_of(each) for each in findings(before, after)] == ["broken", "new"]
