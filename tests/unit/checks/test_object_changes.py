"""Changes of objects by a call, as eager and a program make them."""

from __future__ import annotations

import pytest
import torch

from pytest_exportcheck.checks.object_changes import object_changes
from pytest_exportcheck.harness.tensors import leaf_of
from pytest_exportcheck.records import Leaf, ObjectValue, Observation, Record


def queue(*items):
    return ObjectValue("lib.Queue", tuple(leaf_of(f"['items'][{n}]", item) for n, item in enumerate(items)))


def counter(number):
    return ObjectValue("lib.Counter", (Leaf("['number']", number),))


@pytest.fixture
def found(evidence):
    def run(before, after, stage="serdes"):
        one, other = (Observation(label="a call", objects=objects) for objects in (before, after))
        given = evidence(Record(observations=(one,)), Record(observations=(other,)), stage=stage)
        return [
            (each.place, each.change, each.expected, each.actual, each.detail)
            for each in object_changes(given, one, other)
        ]

    return run


def test_the_same_change_is_no_finding(found):
    assert found({"state q": queue(torch.ones(1))}, {"state q": queue(torch.ones(1))}) == []


def test_an_object_that_the_program_leaves_alone(found):
    assert found({"state c": counter(1)}, {}) == [
        ("state c", "dropped", "changed to lib.Counter with ['number']=int 1", "left as it was", "")
    ]


def test_an_object_that_only_the_program_changes(found):
    assert found({}, {"state c": counter(1)}) == [
        ("state c", "added", "left as it was", "changed to lib.Counter with ['number']=int 1", "")
    ]


def test_another_state_is_shown_at_its_first_difference(found):
    assert found({"state c": counter(1)}, {"state c": counter(2)}) == [
        ("state c", "changed", "int 1", "int 2", "['number'] of the object")
    ]
    assert found({"state q": queue(1)}, {"state q": queue(1, 2)}) == [
        (
            "state q",
            "changed",
            "lib.Queue with ['items'][0]=int 1",
            "lib.Queue with ['items'][0]=int 1, ['items'][1]=int 2",
            "",
        )
    ]


def test_an_object_that_a_capture_named_is_paired_by_its_class(found):
    before = {"state first": counter(1), "state queue": queue(1)}
    after = {"state lifted_custom_0": queue(1), "state lifted_custom_1": counter(1)}
    assert found(before, after) == []


def test_tensors_are_compared_as_closely_as_the_stage_promises(found):
    one, other = torch.full((2,), 1.0), torch.full((2,), 1.0 + 1e-7)
    assert found({"state q": queue(one)}, {"state q": queue(other)}, stage="decompose") == []
    assert [each[1] for each in found({"state q": queue(one)}, {"state q": queue(other)})] == ["changed"]
