"""What a finding about the call spec says."""

from __future__ import annotations

import pytest
import torch.utils._pytree as pytree

from pytest_exportcheck.checks import call_spec
from pytest_exportcheck.records import CallSpecRecord, Record
from pytest_exportcheck.reports.wording import kind_of


def record(inputs=((1,), {}), outputs=1, names=("x",)):
    spec = CallSpecRecord(pytree.tree_structure(inputs), pytree.tree_structure(outputs), names)
    return Record(observations=(), call_spec=spec)


@pytest.fixture
def findings(evidence):
    def make(before, after):
        return call_spec.check(evidence(before, after))

    return make


def test_the_same_spec_is_no_finding(findings):
    assert findings(record(), record()) == []


def test_a_side_that_states_nothing_is_not_judged(findings):
    nothing = Record(observations=())
    assert findings(record(), nothing) == findings(nothing, record()) == []


def test_a_side_without_names_is_not_judged_by_names(findings):
    assert findings(record(names=None), record(names=("y",))) == []


def test_other_inputs(findings):
    (finding,) = findings(record(), record(inputs=(([1],), {})))
    assert (finding.check, finding.place, kind_of(finding)) == ("call_spec", "inputs", "structure")
    assert "list" in finding.actual
    assert "list" not in finding.expected
    assert "\n" not in finding.actual


def test_other_outputs(findings):
    (finding,) = findings(record(outputs={"y": 1}), record(outputs=(1,)))
    assert (finding.place, kind_of(finding)) == ("outputs", "structure")
    assert "dict" in finding.expected
    assert "tuple" in finding.actual


def test_other_names(findings):
    (finding,) = findings(record(names=("x", "mask")), record(names=("args_0", "args_1")))
    assert (finding.place, kind_of(finding)) == ("input names", "names")
    assert (finding.expected, finding.actual) == ("x, mask", "args_0, args_1")
