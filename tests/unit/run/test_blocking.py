"""Which stage blocks a mode, and how a blocked item says so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_exportcheck.modes import Mode
from pytest_exportcheck.records import Finding, KnownAs, Record
from pytest_exportcheck.run.blocking import blocked, blocks, interrupted, reason_of
from pytest_exportcheck.run.journal import Entry
from pytest_exportcheck.run.stage import StageResult
from tests.unit.echo_session import case

STRICT, SERDES, FUZZ = (Mode.parse(text) for text in ("strict", "strict-serdes", "strict-fuzz"))
VALUE = Finding(check="outputs", place="output", change="changed", key="value", expected="1", actual="2")
LOWERED = KnownAs("lowered", "a defect")
STRIDE = replace(VALUE, key="stride", verdict="known", known=LOWERED)
NARROWED = Finding(check="sizes", place="batch", change="narrowed", expected="accepted", actual="refused")


def judged(*findings):
    return StageResult(STRICT, record=Record(observations=()), findings=list(findings))


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        (VALUE, True),
        (replace(VALUE, check="effects"), True),
        (replace(VALUE, verdict="known", known=LOWERED), True),
        (replace(VALUE, verdict="engine_error"), True),
        (replace(VALUE, verdict="tolerated"), False),
        (replace(VALUE, check="metadata"), False),
        (STRIDE, False),
        (replace(STRIDE, verdict="broken"), True),
    ],
)
def test_a_stage_blocks_by_wrong_outputs_and_effects(finding, expected):
    assert blocks(judged(finding)) is expected


def test_a_stage_without_findings_blocks_only_if_it_has_no_record():
    assert not blocks(judged())
    assert blocks(StageResult(STRICT))


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        (NARROWED, True),
        (replace(NARROWED, verdict="engine_error"), True),
        (replace(NARROWED, verdict="known", known=KnownAs("zero", "a defect")), False),
        (replace(NARROWED, verdict="tolerated"), False),
        (replace(VALUE, verdict="known", known=LOWERED), True),
        (STRIDE, False),
    ],
)
def test_a_fuzz_stage_blocks_by_what_every_later_program_repeats(finding, expected):
    assert blocks(StageResult(FUZZ, findings=[finding])) is expected


def test_a_fuzz_stage_has_no_record_and_blocks_nothing_by_that():
    assert not blocks(StageResult(FUZZ))


@pytest.mark.parametrize("mode", [STRICT, FUZZ])
def test_a_stage_that_was_blocked_or_interrupted_blocks(mode):
    assert blocks(StageResult(mode, blocker=StageResult(STRICT)))
    assert blocks(StageResult(mode, interrupted="echo-strict of net crashed"))


def test_a_mode_is_blocked_by_the_first_stage_at_fault():
    first = StageResult(STRICT)
    found = blocked(SERDES, [None, judged(), StageResult(STRICT, blocker=first), judged(VALUE)])
    assert found is not None
    assert (found.mode, found.blocker) == (SERDES, first)
    assert blocked(SERDES, [None, judged()]) is None


@pytest.mark.parametrize(("mode", "expected"), [(STRICT, STRICT), (None, SERDES)], ids=["a stage", "setting up"])
def test_an_entry_of_the_journal_is_an_interrupted_stage(mode, expected):
    entry = Entry(case="net", origin=str(case().origin), engine="echo" if mode else "", mode=mode, how="crashed")
    found = interrupted(SERDES, entry)
    assert found is not None
    assert (found.mode, found.interrupted) == (expected, f"{entry} crashed")
    assert interrupted(SERDES, None) is None


@pytest.mark.parametrize(
    ("blocker", "selected", "reason"),
    [
        (StageResult(STRICT), {STRICT}, "blocked by strict"),
        (StageResult(STRICT), {SERDES}, ""),
        (StageResult(STRICT, refused=True), set(), "blocked by strict, which refuses the case as expected"),
        (StageResult(STRICT, interrupted="echo-strict of net crashed"), set(), "blocked: echo-strict of net crashed"),
    ],
)
def test_a_blocked_item_names_a_stage_that_the_run_reports(blocker, selected, reason):
    assert reason_of(blocker, selected) == reason
