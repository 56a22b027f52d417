"""What a finding about an edge that is taken again says."""

from __future__ import annotations

import pytest

from pytest_exportcheck.checks import stability
from pytest_exportcheck.records import Finding
from pytest_exportcheck.reports.wording import kind_of
from tests.unit.records_of import program, record

ADD = "x\nadd = aten.add.Tensor(x, 1)\nreturn add"


@pytest.fixture
def saved_again(evidence):
    def make(saved, resaved, mode="nonstrict-serdes-serdes"):
        return stability.check(evidence(record(), record(saved=saved, resaved=resaved), mode=mode))

    return make


@pytest.fixture
def traced_again(evidence):
    def make(before, after, mode="nonstrict-retrace-retrace"):
        return stability.check(evidence(record(before), record(after), stage="retrace", mode=mode))

    return make


def test_the_same_records_are_no_finding(saved_again):
    assert saved_again({"models/model.json": "crc 1"}, {"models/model.json": "crc 1"}) == []


def test_records_that_differ_are_named(saved_again):
    assert saved_again({"byteorder": "crc 1"}, {"byteorder": "crc 2"}) == [
        Finding(
            check="stability",
            place="archive record byteorder",
            change="changed",
            key="bytes",
            expected="crc 1",
            actual="crc 2",
            detail="between the second and the third save",
        )
    ]


def test_records_that_came_or_went_are_named(saved_again):
    found = saved_again({"a": "crc 1"}, {"b": "crc 2"})
    assert [(each.place, each.expected, each.actual) for each in found] == [
        ("archive record a", "crc 1", "no such record"),
        ("archive record b", "no such record", "crc 2"),
    ]


@pytest.mark.parametrize(
    "mode", ["nonstrict-serdes", "serdes", "nonstrict-serdes-retrace-serdes", "nonstrict-reserdes-serdes"]
)
def test_only_a_mode_that_repeats_its_edge_is_judged(saved_again, mode):
    assert saved_again({"a": "crc 1"}, {"a": "crc 2"}, mode) == []


def test_the_same_program_is_no_finding(traced_again):
    assert traced_again(program(ADD), program(ADD)) == []


@pytest.mark.parametrize(
    ("after", "field", "expected", "actual"),
    [
        (program(ADD.replace("add =", "sum =").replace("return add", "return sum")), "names", "add", "sum"),
        (program(ADD.replace("aten.add", "aten.sub")), "targets", "aten.add.Tensor", "aten.sub.Tensor"),
        (program(ADD, module_calls={"": "", "layer": ""}), "module_call_graph", "1 entries", "2 entries"),
    ],
)
def test_what_a_second_retrace_changes_is_named(traced_again, after, field, expected, actual):
    (finding, *_) = traced_again(program(ADD), after)
    assert (finding.place, kind_of(finding), finding.field) == (field, "changed", field)
    assert (finding.expected, finding.actual) == (expected, actual)
    assert finding.detail == "between the first and the second retrace"


def test_module_stacks_are_compared_with_their_keys(traced_again):
    stacks = [{"nn_module_stack": ((key, "layer", "Layer"),)} for key in ("L__self__", "L__self__L__self__")]
    (finding,) = traced_again(*(program(ADD, meta={"add": meta}) for meta in stacks))
    assert (finding.field, finding.expected, finding.actual) == (
        "nn_module_stack",
        "((L__self__, layer, Layer),)",
        "((L__self__L__self__, layer, Layer),)",
    )


def test_a_first_retrace_is_not_judged(traced_again):
    assert traced_again(program(ADD), program(ADD.replace("aten.add", "aten.sub")), "nonstrict-retrace") == []
