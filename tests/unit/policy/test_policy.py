"""The tables that tell broken from known."""

from __future__ import annotations

import pytest

from pytest_exportcheck.checks import CHECKS
from pytest_exportcheck.checks.compare import alignment
from pytest_exportcheck.modes import CAPTURES, EDGES
from pytest_exportcheck.policy import (
    ALIGNMENT,
    BLOCKING,
    CONTRACT,
    METADATA,
    contract_for,
    loosest,
    without_grad,
)
from pytest_exportcheck.policy.contract import COLUMNS, JUDGED, JUDGED_AT, column_of


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


def test_sizes_are_judged_beside_the_checks_where_they_are_drawn():
    assert (*CONTRACT, "sizes") == JUDGED
    assert (*COLUMNS, "fuzz", "agree") == JUDGED_AT
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
