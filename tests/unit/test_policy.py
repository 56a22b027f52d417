"""The tables that tell broken from known."""

from __future__ import annotations

from dataclasses import replace

import pytest
from packaging.specifiers import SpecifierSet

from pytest_exportcheck.checks import CHECKS, alignment
from pytest_exportcheck.modes import CAPTURES, EDGES
from pytest_exportcheck.policy import (
    ALIGNMENT,
    BLOCKING,
    CONTRACT,
    KNOWN,
    METADATA,
    KnownDefect,
    contract_for,
    judge,
    known,
    loosest,
    without_grad,
)
from pytest_exportcheck.policy.contract import COLUMNS, JUDGED, JUDGED_AT, column_of
from pytest_exportcheck.records import Finding

FINDING = Finding(check="state", place="twin", kind="dropped a tied name", expected="a", actual="b")
ROW = KnownDefect(id="row", title="a defect", torch=">=2.13,<2.15", check="state", kind="dropped*")


def test_the_contract_names_checks_that_exist():
    assert set(CONTRACT) == set(CHECKS)
    assert set(CHECKS) >= BLOCKING


@pytest.mark.parametrize("stage", [*CAPTURES, *EDGES])
def test_every_stage_has_a_column_that_judges_outputs_and_effects(stage):
    assert set(contract_for(stage)) >= BLOCKING


@pytest.mark.parametrize("table", [CONTRACT, METADATA])
def test_every_level_is_of_a_column_that_exists(table):
    assert {column for row in table.values() for column in row} <= set(COLUMNS)


def test_every_column_that_compares_nodes_says_how_they_are_paired():
    comparing = {column for column, level in CONTRACT["metadata"].items() if level != "present"}
    assert set(ALIGNMENT) == comparing
    assert set(ALIGNMENT.values()) <= {"origin", *alignment._PAIRINGS}


@pytest.mark.parametrize(
    ("stage", "column"),
    [("strict", "capture"), ("strict_postdispatch", "postdispatch"), ("interop", "serdes"), ("retrace", "retrace")],
)
def test_stages_share_columns(stage, column):
    assert column_of(stage) == column
    assert contract_for(stage) == contract_for(column)


def test_what_a_capture_computes_is_judged_bit_by_bit():
    levels = contract_for("strict")
    assert [levels[check] for check in ("outputs", "effects", "gradients")] == ["bits", "bits", "bits"]


def test_only_what_goes_below_autograd_may_move_values():
    close = [stage for stage in (*CAPTURES, *EDGES) if contract_for(stage)["outputs"] == "close"]
    assert close == ["nonstrict_postdispatch", "strict_postdispatch", "decompose"]


def test_unflatten_yields_no_program_whose_call_spec_could_be_judged():
    assert "call_spec" not in contract_for("unflatten")


def test_a_stage_of_no_column_is_not_judged():
    assert contract_for("quantize") == {}


@pytest.mark.parametrize("unstable", [(), ("outputs",), ("outputs", "gradients")])
def test_where_eager_is_not_bit_stable_bits_become_closeness(unstable):
    levels = contract_for("serdes", unstable=unstable)
    assert levels == {**contract_for("serdes"), **dict.fromkeys(unstable, "close")}


def test_an_unstable_eager_changes_no_level_but_bits():
    assert contract_for("decompose", unstable=("gradients", "state")) == contract_for("decompose")


@pytest.fixture
def judged(monkeypatch):
    """The verdict on a finding, with one row in the table of known defects."""
    monkeypatch.setattr(known, "KNOWN", (ROW,))

    def verdict(finding=FINDING, **place):
        where = {"engine": "torch", "mode": "strict-serdes", "torch_version": "2.14.1", **place}
        (found,) = judge([finding], **where)
        return found

    return verdict


def with_field(**fields):
    return replace(FINDING, **fields)


def test_a_finding_that_a_row_explains_is_known_by_its_id(judged):
    assert judged() == with_field(verdict="known", known_as="row")


@pytest.mark.parametrize("version", ["2.13.0", "2.14.1", "2.14.0+cpu", "2.14.2.dev20261001"])
def test_a_row_holds_in_its_versions_of_torch(judged, version):
    assert judged(torch_version=version).verdict == "known"


@pytest.mark.parametrize("version", ["2.12.1", "2.15.0.dev20261001", "2.15.0"])
def test_and_in_no_other(judged, version):
    assert judged(torch_version=version) == FINDING


@pytest.mark.parametrize("field", [{"check": "outputs"}, {"kind": "added"}])
def test_a_row_explains_only_its_check_and_kind(judged, field):
    assert judged(with_field(**field)).verdict == "broken"


def test_a_row_is_about_the_torch_engine_unless_it_says_otherwise(judged):
    assert judged(engine="mine").verdict == "broken"


@pytest.mark.parametrize(
    ("narrowed", "there", "elsewhere"),
    [
        ({"stage": "serdes"}, "strict-retrace-serdes", "strict-serdes-retrace"),
        ({"stage": "*_postdispatch"}, "strict_postdispatch", "strict_postdispatch-serdes"),
        ({"capture": "strict*"}, "strict_postdispatch-serdes", "nonstrict-serdes"),
        ({"mode": "*-serdes-retrace"}, "strict-serdes-retrace", "strict-retrace"),
    ],
)
def test_a_row_may_be_narrowed_to_stages_captures_and_modes(monkeypatch, judged, narrowed, there, elsewhere):
    monkeypatch.setattr(known, "KNOWN", (replace(ROW, **narrowed),))
    assert judged(mode=there).verdict == "known"
    assert judged(mode=elsewhere).verdict == "broken"


@pytest.mark.parametrize(
    "narrowed", [{"place": "other"}, {"field": "x"}, {"expected": "c*"}, {"actual": "E*"}, {"detail": "*of*"}]
)
def test_a_row_may_be_narrowed_to_places_and_texts(monkeypatch, judged, narrowed):
    monkeypatch.setattr(known, "KNOWN", (replace(ROW, **narrowed),))
    assert judged().verdict == "broken"
    assert judged(with_field(**{name: glob.replace("*", "") for name, glob in narrowed.items()})).verdict == "known"


def test_a_row_may_ask_for_an_operator(monkeypatch, judged):
    monkeypatch.setattr(known, "KNOWN", (replace(ROW, operator="aten.detach*"),))
    assert judged().verdict == "broken"
    assert judged(operators={"aten.add.Tensor", "aten.detach.default"}).verdict == "known"


BESIDE = KnownDefect(id="beside", title="what follows", torch="", check="effects", kind="*", beside="row")


@pytest.mark.parametrize(("first", "verdict"), [("state", "known"), ("outputs", "broken")])
def test_a_row_may_need_another_that_explains_a_finding_of_the_same_item(monkeypatch, first, verdict):
    monkeypatch.setattr(known, "KNOWN", (BESIDE, ROW))
    findings = [with_field(check="effects"), with_field(check=first)]
    judged = judge(findings, engine="torch", mode="strict", torch_version="2.14.1")
    assert judged[0].verdict == verdict


@pytest.mark.parametrize("verdict", ["lost", "known"])
def test_what_is_lost_or_known_stays_so(judged, verdict):
    finding = with_field(verdict=verdict, known_as="before")
    assert judged(finding) == finding


@pytest.mark.parametrize("verdict", ["lost", "broken"])
def test_what_is_lost_names_the_row_that_explains_it_and_stays_lost(judged, verdict):
    found = judged(with_field(verdict=verdict))
    assert (found.verdict, found.known_as) == ("known" if verdict == "broken" else "lost", "row")


@pytest.mark.parametrize(
    ("operators", "verdict"),
    [
        (None, "known"),
        (("aten.mul.Tensor", "aten.sum.default"), "known"),
        (("aten.mul.Tensor",), "broken"),
        ((), "broken"),
    ],
)
def test_a_row_about_an_operator_explains_what_the_finding_says_is_about_it(monkeypatch, operators, verdict):
    monkeypatch.setattr(known, "KNOWN", (replace(ROW, operator="aten.sum.*"),))
    (found,) = judge(
        [with_field(operators=operators)],
        engine="torch",
        mode="strict",
        torch_version="2.14.1",
        operators={"aten.sum.default"},
    )
    assert found.verdict == verdict


@pytest.mark.parametrize(
    ("path", "level"),
    [(("nonstrict",), "bits"), (("nonstrict", "serdes"), "bits"), (("strict_postdispatch", "serdes"), "report")],
)
def test_gradients_of_what_is_made_of_inference_programs_are_reported_only(path, level):
    levels = contract_for(path[-1], path=path)
    assert levels["gradients"] == level
    assert levels | {"gradients": "bits"} == contract_for(path[-1])


def test_modes_that_begin_below_autograd_are_judged_without_grad():
    assert [without_grad(stages) for stages in (["nonstrict", "decompose"], ["strict_postdispatch", "fuzz"])] == [
        False,
        True,
    ]


def test_rows_have_ids_of_their_own_and_readable_versions():
    assert len({row.id for row in KNOWN}) == len(KNOWN)
    assert all(SpecifierSet(row.torch) for row in KNOWN)


def test_a_row_that_needs_another_names_one_that_exists():
    assert {row.beside for row in KNOWN if row.beside} <= {row.id for row in KNOWN if not row.beside}


def test_rows_are_about_checks_that_exist_or_the_stage_itself():
    assert {row.check for row in KNOWN} <= {*JUDGED, "stage"}


def test_sizes_are_judged_beside_the_checks_where_they_are_drawn():
    assert (*CONTRACT, "sizes") == JUDGED
    assert (*COLUMNS, "fuzz") == JUDGED_AT
    assert contract_for("fuzz") == {}


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        (["strict"], "bits"),
        (["nonstrict", "serdes", "retrace", "unflatten"], "bits"),
        (["nonstrict_postdispatch"], "close"),
        (["nonstrict", "decompose"], "close"),
        (["nonstrict", "decompose", "serdes"], "close"),
        ([], "bits"),
    ],
)
def test_what_several_stages_made_is_compared_as_the_loosest_allows(stages, expected):
    assert loosest(stages, BLOCKING) == dict.fromkeys(BLOCKING, expected)


def test_what_eager_does_not_repeat_is_compared_loosely():
    assert loosest(["strict", "serdes"], BLOCKING, unstable=("outputs",)) == {"outputs": "close", "effects": "bits"}


def test_only_the_checks_that_are_asked_for_are_compared():
    assert loosest(["strict"], ["outputs"]) == {"outputs": "bits"}


@pytest.mark.parametrize(
    ("on", "verdict"),
    [
        (("batch=1",), "known"),
        (("batch=0, length=9",), "known"),
        (("length=9, batch=1",), "known"),
        (("batch=1, args[0] with nan",), "known"),
        (("args[0].size(0)=1",), "known"),
        (("batch=9", "batch=1"), "known"),
        (("batch=10",), "broken"),
        (("batch=21",), "broken"),
        (("the example inputs",), "broken"),
        ((), "broken"),
    ],
)
def test_a_row_may_be_narrowed_to_the_calls_that_showed_it(monkeypatch, judged, on, verdict):
    monkeypatch.setattr(known, "KNOWN", (replace(ROW, on="*=[01],*"),))
    assert judged(with_field(on=on)).verdict == verdict


def test_a_row_about_no_calls_is_about_all(judged):
    assert judged(with_field(on=("batch=9",))).verdict == "known"


@pytest.mark.parametrize(
    ("kind", "actual", "on", "known_as"),
    [
        ("narrowed", "AssertionError: Guard failed: x", "batch=1", "guards-refuse-zero-and-one"),
        ("narrowed", "AssertionError: Guard failed: x", "batch=3", ""),
        ("narrowed", "ValueError: x", "batch=1", ""),
        ("accepted and computed otherwise", "accepted", "batch=0", "lower-bounds-up-to-two-dropped"),
        ("accepted and computed otherwise", "accepted", "batch=61", ""),
    ],
)
def test_rows_about_sizes_explain_zero_and_one_alone(kind, actual, on, known_as):
    finding = Finding(check="sizes", place="batch", kind=kind, expected="", actual=actual, on=(on,))
    for version in ("2.13.0", "2.14.1"):
        (found,) = judge([finding], engine="torch", mode="nonstrict-serdes-fuzz", torch_version=version)
        assert found.known_as == known_as


LEAVES = "ValueError: treespec.unflatten(leaves): `leaves` has length 3 but the spec refers to a pytree that holds 1 items (*)."
IN_TORCH = "torch raised this at torch/export/_trace.py:2239 in set_missing_meta_vals: user_arg = flat_args[index]"
HOLDS = "the module holds tensor subclasses: weight (Scaled)"
ROOTLESS = "operations of the program lack the root module in nn_module_stack"
LEFT = "changed to a FunctionalTensor"
INDEX = "IndexError: list index out of range"


def known_as(mode, **fields):
    """The id of the row that explains a finding."""
    (found,) = judge(
        [Finding(**{"place": "p", "expected": "e", **fields})], engine="torch", mode=mode, torch_version="2.14.1"
    )
    return found.known_as


@pytest.mark.parametrize(
    ("actual", "detail", "expected"),
    [
        (INDEX, f"{IN_TORCH}\n{HOLDS}", "subclass-weights-below-autograd"),
        (f"{INDEX}\n(raised at net.py:3 in forward: k[0])", HOLDS, ""),
        (INDEX, HOLDS, ""),
        (INDEX, IN_TORCH, ""),
    ],
    ids=["the defect", "a line of the model", "not torch", "no subclass"],
)
def test_an_index_error_below_autograd_is_known_of_subclasses_alone(actual, detail, expected):
    assert known_as("nonstrict_postdispatch", check="stage", kind="raised", actual=actual, detail=detail) == expected


@pytest.mark.parametrize(
    ("mode", "detail", "expected"),
    [
        ("nonstrict-unflatten", ROOTLESS, "unflatten-graph-module"),
        ("nonstrict-unflatten", "", ""),
        ("nonstrict-decompose", "outputs are tensor subclasses: output (TwoTensor)", "lowered-subclass-output"),
        ("nonstrict-decompose", "", ""),
    ],
)
def test_a_wrong_number_of_leaves_is_known_where_its_cause_is_there(mode, detail, expected):
    assert known_as(mode, check="outputs", kind="raised", actual=LEAVES, detail=detail) == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("a plain attribute", "postdispatch-leaves-tracing-tensors"), ("a buffer", ""), ("a parameter", "")],
)
def test_a_tracing_tensor_that_a_capture_leaves_is_known_in_attributes_alone(kind, expected):
    finding = {"place": "module weight", "expected": "unchanged by the capture", "actual": LEFT, "detail": kind}
    assert known_as("nonstrict_postdispatch", check="stage", kind="edited", **finding) == expected
