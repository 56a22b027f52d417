"""What a finding about constants says."""

from __future__ import annotations

import pytest
import torch

from pytest_exportcheck.checks import constants
from pytest_exportcheck.records import Finding, SignatureRecord
from pytest_exportcheck.reports.wording import kind_of
from tests.unit.records_of import program, record, signature_of, spec, summary

ADD = "x\nadd = aten.add.Tensor(x, 1)\nreturn add"
ONE = torch.ones(1)


@pytest.fixture
def findings(evidence):
    def make(before, after, *, stage="serdes"):
        pair = [record(program(ADD, constants=each)) for each in (before, after)]
        return constants.check(evidence(*pair, stage=stage))

    return make


SPARSE = torch.eye(2).to_sparse()


@pytest.mark.parametrize("stage", ["strict", "decompose", "serdes", "retrace"])
@pytest.mark.parametrize(
    "value", [ONE, torch.tensor(float("nan")), SPARSE, torch.ones(2, device="meta"), torch.empty(0), object(), 3, None]
)
def test_equal_constants_are_no_finding(findings, stage, value):
    assert findings({"c": value}, {"c": value}, stage=stage) == []


@pytest.mark.parametrize("value", [torch.tensor(float("nan")), SPARSE, torch.ones(2, device="meta")])
def test_a_loaded_copy_of_a_constant_is_no_finding(findings, value):
    assert findings({"c": value}, {"c": value.clone()}) == []


def test_another_value_is_shown_where_it_differs(findings):
    assert findings({"c": torch.ones(2)}, {"c": torch.tensor([1.0, 2.0])}) == [
        Finding(
            check="constants",
            place="c",
            change="changed",
            key="value",
            expected="1 at [1]",
            actual="2 at [1]",
            detail="1 of 2 elements differ, by at most 1",
        )
    ]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"c": ONE}, {}, ("c", "dropped", "float32[1] [1.0]", "no such constant")),
        ({}, {"c": ONE}, ("c", "added", "no such constant", "float32[1] [1.0]")),
        ({"c": ONE}, {"c": object()}, ("c", "type", "float32[1] [1.0]", "object")),
        ({"c": object()}, {"c": ONE}, ("c", "type", "object", "float32[1] [1.0]")),
        ({"c": ONE}, {"c": ONE.double()}, ("c", "dtype", "float32", "float64")),
        ({"c": ONE}, {"c": ONE[0]}, ("c", "shape", "[1]", "[]")),
        ({"c": 3}, {}, ("c", "dropped", "int", "no such constant")),
    ],
)
def test_what_became_of_a_constant_is_named(findings, before, after, expected):
    assert summary(findings(before, after)) == [expected]


def test_a_constant_without_data_is_on_another_device(findings):
    found = findings({"c": torch.ones(2)}, {"c": torch.ones(2, device="meta")})
    assert [kind_of(each) for each in found] == ["device"]


def test_a_constant_that_requires_grad_no_more_is_found(findings):
    found = findings({"c": torch.ones(2, requires_grad=True)}, {"c": torch.ones(2)})
    assert [kind_of(each) for each in found] == ["requires_grad"]


def test_a_sparse_constant_that_became_dense_is_found(findings):
    assert [kind_of(each) for each in findings({"c": SPARSE}, {"c": torch.eye(2)})] == ["layout", "stride"]


def test_an_object_of_another_class_is_found(findings):
    assert summary(findings({"c": object()}, {"c": Exception()})) == [("c", "type", "object", "Exception")]


def test_a_retrace_may_rename_a_constant(findings):
    assert findings({"c": ONE}, {"lifted": ONE.clone()}, stage="retrace") == []


def test_a_retrace_that_loses_a_value_drops_it(findings):
    assert summary(findings({"c": ONE}, {"c": 2 * ONE}, stage="retrace")) == [
        ("c", "dropped", "float32[1] [1.0]", "no constant of this value"),
    ]


@pytest.mark.parametrize("kind", ["CONSTANT_TENSOR", "CUSTOM_OBJ"])
@pytest.mark.parametrize("stage", ["strict", "serdes"])
def test_a_constant_that_the_signature_names_is_there(evidence, kind, stage):
    plain = program(ADD)
    inputs = (spec(kind, "c_c", "c"), *signature_of(plain.graphs[""]).inputs)
    after = program(ADD, signature=SignatureRecord(inputs, ()))
    found = constants.check(evidence(record(after), record(after), stage=stage))
    assert summary(found) == [("c", "missing", "a constant for input c_c", "no such constant")]
