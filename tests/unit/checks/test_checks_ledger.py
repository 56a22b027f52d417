"""What the preservation ledger counts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_exportcheck.checks import ledger_of
from pytest_exportcheck.records import FieldSurvival, Finding
from tests.unit.records_of import program, record, tensor

CHAIN = "x\na = f.a(x)\nb = f.b(a)\nreturn b"
TOLERATED = Finding(
    check="state", place="w", change="added", key="another_call", expected="a", actual="b", verdict="tolerated"
)


@pytest.fixture
def ledger(evidence):
    def make(before, after, *findings, stage="serdes"):
        return ledger_of(evidence(record(before), record(after), stage=stage), findings)

    return make


def test_every_key_is_counted_where_it_was_or_came(ledger):
    before = program(CHAIN, meta={"a": {"seq_nr": 1, "torch_fn": 1}, "b": {"seq_nr": 2}, "x": {"seq_nr": 3}})
    after = program(CHAIN, meta={"a": {"seq_nr": 1, "extra": 1}, "b": {"seq_nr": 5}})
    assert ledger(before, after) == (
        FieldSurvival(field="metadata.extra", promised=False, gained=1),
        FieldSurvival(field="metadata.placeholder.seq_nr", promised=False, dropped=1),
        FieldSurvival(field="metadata.seq_nr", promised=False, kept=1, changed=1),
        FieldSurvival(field="metadata.torch_fn", dropped=1),
    )


def test_val_is_counted_with_the_fields_that_changed(ledger):
    before = program(CHAIN, vals={"a": tensor(2), "b": tensor(2)})
    after = program(CHAIN, vals={"a": tensor(2), "b": tensor(2, offset=4)})
    assert ledger(before, after) == (
        FieldSurvival(field="val", kept=1, changed=1),
        FieldSurvival(field="val.storage_offset", changed=1),
    )


def test_val_is_not_counted_where_it_is_held_against_a_run(ledger):
    programs = [program(CHAIN, vals={"a": value}) for value in (tensor(2), tensor(3))]
    assert ledger(*programs, stage="retrace") == ()


def test_what_else_was_lost_is_counted(ledger):
    dropped = replace(TOLERATED, change="dropped", key="stateless", check="module_calls")
    assert ledger(program(CHAIN), program(CHAIN), TOLERATED, replace(TOLERATED, place="v"), dropped) == (
        FieldSurvival(field="module_calls.stateless_dropped", dropped=1),
        FieldSurvival(field="state.added_for_another_call", changed=2),
    )


@pytest.mark.parametrize("verdict", ["broken", "known"])
def test_what_was_not_merely_lost_is_no_line_of_its_own(ledger, verdict):
    assert ledger(program(CHAIN), program(CHAIN), replace(TOLERATED, verdict=verdict)) == ()


def test_a_capture_has_no_ledger(ledger):
    assert ledger(None, program(CHAIN), stage="strict") == ()


def test_lines_add_up():
    one, other = FieldSurvival(field="a", kept=1, dropped=2), FieldSurvival(field="a", changed=3, gained=4)
    assert one + other == FieldSurvival(field="a", kept=1, changed=3, dropped=2, gained=4)
    assert (one + other).before == 6
