"""What a finding about the module call graph says."""

from __future__ import annotations

import pytest
import torch

from pytest_exportcheck.checks import module_calls
from pytest_exportcheck.policy import tolerated
from pytest_exportcheck.reports.wording import kind_of
from tests.unit.records_of import program, record, state, summary

ADD = "x\nadd = aten.add.Tensor(x, 1)\nreturn add"
STATE = state(("layer.weight", "parameter", torch.ones(1)))


@pytest.fixture
def findings(evidence):
    def make(before, after, *, stage="serdes", modules=None):
        records = [record(program(ADD, module_calls={"": "", **each}), state=STATE) for each in (before, after)]
        eager = record(modules=modules) if modules is not None else None
        return module_calls.check(evidence(*records, stage=stage, module=eager))

    return make


@pytest.mark.parametrize("stage", ["decompose", "serdes", "retrace"])
def test_equal_calls_are_no_finding(findings, stage):
    assert findings({"layer": "", "layer@1": "in -> out"}, {"layer": "", "layer@1": "in -> out"}, stage=stage) == []


@pytest.mark.parametrize("own", ["_guards_fn", "submod_1", "inner._guards_fn"])
def test_what_a_capture_makes_for_itself_is_not_compared(findings, own):
    assert findings({own: ""}, {}) == findings({}, {own: ""}) == []


def test_the_signature_of_the_root_is_the_call_spec(findings):
    assert findings({"": "in -> out"}, {"": "other"}) == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"layer": ""}, {}, ("layer", "dropped", "an entry", "none")),
        ({"layer@1": ""}, {}, ("layer@1", "dropped", "an entry", "none")),
        ({"act": ""}, {}, ("act", "stateless dropped", "an entry", "none")),
        ({"act": "in -> out"}, {}, ("act", "dropped", "an entry", "none")),
        ({}, {"act": ""}, ("act", "added", "no entry", "an entry")),
        ({"act": "in -> out"}, {"act": ""}, ("act", "signature", "in -> out", "")),
        ({"a": "", "b": "", "c": ""}, {"b": "", "a": "", "c": ""}, ("a", "order", "a, b, c", "b, a, c")),
    ],
)
def test_what_became_of_an_entry_is_named(findings, before, after, expected):
    assert summary(findings(before, after)) == [expected]


@pytest.mark.parametrize(
    ("path", "kind"), [("act", "added"), ("act@2", "added"), ("true_graph", "made by the capture added")]
)
def test_an_entry_that_is_no_module_of_the_users_was_made_by_the_capture(findings, path, kind):
    assert [kind_of(each) for each in findings({}, {path: ""}, modules={"": "Net", "act": "ReLU"})] == [kind]


def test_a_retrace_may_drop_stateless_modules_and_reorder(findings):
    found = findings({"act": "", "layer": "", "b": ""}, {"b": "", "layer": ""}, stage="retrace")
    assert {each.verdict for each in tolerated(found, "retrace")} == {"tolerated"}
    assert {each.verdict for each in tolerated(found, "serdes")} == {"broken"}


def unflattened(evidence, modules):
    before = record(program(ADD, module_calls={"": "", "layer": "", "layer@1": "", "_guards_fn": ""}))
    return module_calls.check(evidence(before, record(modules=modules), stage="unflatten"))


def test_unflatten_gives_every_module_its_path(evidence):
    assert unflattened(evidence, {"": "Module", "layer": "Module"}) == []


def test_unflatten_that_loses_a_module_is_found(evidence):
    assert summary(unflattened(evidence, {"": "Module"})) == [
        ("layer", "dropped", "a submodule layer", "no such submodule"),
        ("layer@1", "dropped", "a submodule layer", "no such submodule"),
    ]
