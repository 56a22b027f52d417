"""Findings about changes of Python state and of values outside the module: which are shown, and in which order."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pytest_exportcheck.checks.outside import outside_findings
from pytest_exportcheck.records import Leaf, Observation, Outside, Record, StateRecord
from tests.unit.records_of import program


def table(name):
    return Outside(name, "a global of net.py", None, True, in_module=False)


def counter(name):
    return Outside(name, "a Python number", 0, 2, in_module=True)


TOTAL = Outside("TOTAL", "a global of net.py", torch.zeros(1), torch.ones(1), in_module=False)


@pytest.fixture
def findings(evidence):
    def make(*changes, state=None, **options):
        seen = Observation(label="a call", outputs=(Leaf("output", 0),), outside=changes)
        eager = Record(observations=(seen,), state=StateRecord({}, ()))
        after = replace(seen, outside=(), state=state or {})
        capture = Record(observations=(after,), program=program("x\nreturn x"))
        return list(outside_findings(evidence(eager, capture, stage="nonstrict", module=eager, **options), ()))

    return make


def test_tables_that_are_filled_once_take_no_place_of_what_counts(findings):
    tables = [table(f"DONE_{number}") for number in range(9)]
    assert [each.place for each in findings(*tables, counter("self.calls"))] == ["self.calls"]


def test_what_outputs_depend_on_comes_first_and_the_rest_is_counted(findings):
    counters = [counter(f"self.n{number}") for number in range(11)]
    found = findings(*counters, TOTAL, state={"constant": torch.ones(1)})
    assert [each.place for each in found] == ["TOTAL", *(f"self.n{number}" for number in range(4))]
    assert [each.field for each in found] == ["outside", *["python_state_unread"] * 4]
    assert found[-1].detail.splitlines()[1:] == ["and 7 more: self.n4, self.n5, self.n6, self.n7, self.n8, ..."]
    assert all(len(each.detail.splitlines()) == 1 for each in found[:-1])


@pytest.mark.parametrize(
    ("carries", "field"), [(None, "python_state"), (True, "python_state"), (False, "python_state_unread")]
)
def test_in_a_random_case_it_counts_what_eager_carries_over(evidence, carries, field):
    seen = Observation(label="a call", outside=(counter("self.calls"),))
    eager = Record(observations=(seen,), state=StateRecord({}, ()), carries=carries)
    capture = Record(observations=(replace(seen, outside=()),), program=program("x\nreturn x"))
    given = evidence(eager, capture, stage="nonstrict", module=eager, random=True)
    assert [each.field for each in outside_findings(given, ())] == [field]
