"""The preservation ledger as text."""

from __future__ import annotations

from pytest_exportcheck.records import FieldSurvival
from pytest_exportcheck.reports.ledger import ledger_lines

TITLE = "preservation ledger of torch: fields that a stage did not keep everywhere"


def lines(ledgers, **options):
    return [line.text for line in ledger_lines("torch", ledgers, **options)]


def test_a_field_that_a_step_lost_is_a_line_and_the_others_are_counted():
    serdes = [
        FieldSurvival(field="metadata.custom", kept=1, changed=1),
        FieldSurvival(field="metadata.seq_nr", dropped=2),
        FieldSurvival(field="metadata.torch_fn", kept=2),
    ]
    retrace = [FieldSurvival(field="metadata.seq_nr", kept=3), FieldSurvival(field="metadata.custom", dropped=2)]
    assert lines({"serdes": serdes, "retrace": retrace}) == [
        TITLE,
        "  metadata.custom  serdes kept 1 of 2; retrace kept 0 of 2",
        "  metadata.seq_nr  serdes kept 0 of 2",
        "  1 field kept in every place (-v lists them)",
    ]


def test_the_items_of_an_edge_are_added_up():
    found = [FieldSurvival(field="val", kept=1, changed=1), FieldSurvival(field="val", kept=3, gained=2)]
    assert lines({"serdes": found})[1] == "  val  serdes kept 4 of 5, 2 new"


def test_what_is_only_gained_is_no_loss():
    found = {"serdes": [FieldSurvival(field="metadata.desc", gained=4)]}
    assert lines(found, verbose=True) == [TITLE, "  kept in every place: metadata.desc"]


def test_without_a_ledger_there_is_no_text():
    assert lines({"nonstrict": []}) == []


def test_what_the_contract_does_not_promise_is_a_number_unless_all_is_asked_for():
    found = {
        "serdes": [
            FieldSurvival(field="metadata.seq_nr", dropped=2, promised=False),
            FieldSurvival(field="val", kept=1),
        ]
    }
    assert lines(found) == [
        TITLE,
        "  1 field kept in every place; 1 field outside the contract (-v lists them)",
    ]
    assert lines(found, verbose=True) == [
        TITLE,
        "  metadata.seq_nr  serdes kept 0 of 2 (outside the contract)",
        "  kept in every place: val",
    ]


def test_lines_fit_the_terminal():
    names = [f"metadata.a_long_name_{n}" for n in range(9)]
    stages = ("decompose", "serdes", "retrace", "interop", "nonstrict_postdispatch")
    found = {stage: [FieldSurvival(field=name, dropped=2) for name in names] for stage in stages}
    found["strict"] = [FieldSurvival(field=f"val.another_{n}", kept=2) for n in range(9)]
    assert [line for line in lines(found, verbose=True) if len(line) > 80] == []
