"""What a finding about the example inputs that a program carries says."""

from __future__ import annotations

import pytest
import torch

from pytest_exportcheck.checks import examples
from pytest_exportcheck.harness.tensors import facts_of
from pytest_exportcheck.records import Leaf
from tests.unit.records_of import program, record, summary

ADD = "x\nadd = aten.add.Tensor(x, 1)\nreturn add"


def leaves(**values):
    return tuple(
        Leaf(place, value, facts_of(value) if isinstance(value, torch.Tensor) else None)
        for place, value in values.items()
    )


@pytest.fixture
def findings(evidence):
    def make(before, after, *, stage="serdes"):
        first = record() if stage == "strict" else record(program(ADD, examples=before))
        given = before if stage == "strict" else ()
        return summary(examples.check(evidence(first, record(program(ADD, examples=after)), stage=stage, given=given)))

    return make


@pytest.mark.parametrize("stage", ["strict", "decompose", "serdes"])
@pytest.mark.parametrize("value", [torch.ones(2), 3, None, float("nan"), "text", torch.eye(2).to_sparse(), True])
def test_equal_examples_are_no_finding(findings, stage, value):
    assert findings(leaves(x=value), leaves(x=value), stage=stage) == []


@pytest.mark.parametrize("stage", ["strict", "decompose", "serdes"])
@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"x": 1}, {}, ("x", "dropped", "an example", "none")),
        ({}, {"x": 1}, ("x", "added", "no example", "an example")),
        ({"x": 1}, {"x": 2}, ("x", "value", "int 1", "int 2")),
        ({"x": 1}, {"x": True}, ("x", "type", "int 1", "bool True")),
        ({"x": torch.ones(1)}, {"x": torch.zeros(1)}, ("x", "value", "1 at [0]", "0 at [0]")),
        ({"x": torch.ones(1)}, {"x": 1.0}, ("x", "type", "float32[1] [1.0]", "float 1.0")),
    ],
)
def test_what_became_of_an_example_is_named(findings, stage, before, after, expected):
    assert findings(leaves(**before), leaves(**after), stage=stage) == [expected]


def test_examples_that_are_all_gone_are_one_finding(findings):
    assert findings(leaves(x=1, y=2), None) == [("example inputs", "dropped", "2 leaves", "none")]


def test_a_program_that_had_none_needs_none(findings):
    assert findings(None, None) == []


def test_a_program_that_was_given_no_inputs_may_have_none(findings):
    assert findings((), None, stage="strict") in ([], [("example inputs", "dropped", "0 leaves", "none")])


def test_requires_grad_of_an_example_that_is_lost_is_found(findings):
    assert findings(leaves(x=torch.ones(1, requires_grad=True)), leaves(x=torch.ones(1))) != []
