"""The preservation ledger as text."""

from __future__ import annotations

from pytest_exportcheck.records import FieldSurvival
from pytest_exportcheck.reports.ledger import ledger_lines


def test_fields_that_did_not_survive_are_a_table_and_the_others_a_line():
    serdes = [
        FieldSurvival(field="metadata.custom", kept=1, changed=1),
        FieldSurvival(field="metadata.seq_nr", dropped=2),
        FieldSurvival(field="metadata.torch_fn", kept=2),
    ]
    assert list(
        ledger_lines("torch", {"serdes": serdes, "retrace": [FieldSurvival(field="metadata.seq_nr", kept=3)]})
    ) == [
        "preserved by torch (places after / before each edge; +n: new)",
        "                   serdes  retrace",
        "  metadata.custom     1/2",
        "  metadata.seq_nr     0/2      3/3",
        "  everywhere: metadata.torch_fn",
    ]


def test_the_items_of_an_edge_are_added_up():
    lines = [FieldSurvival(field="val", kept=1, changed=1), FieldSurvival(field="val", kept=3, gained=2)]
    assert list(ledger_lines("torch", {"serdes": lines}))[1:] == ["       serdes", "  val  4/5 +2"]


def test_what_is_only_gained_is_no_loss():
    lines = {"serdes": [FieldSurvival(field="metadata.desc", gained=4)]}
    assert list(ledger_lines("torch", lines))[1:] == ["  everywhere: metadata.desc"]


def test_without_a_ledger_there_is_no_text():
    assert list(ledger_lines("torch", {"nonstrict": []})) == []


def test_what_nothing_promises_is_a_number_unless_all_is_asked_for():
    lines = {
        "serdes": [
            FieldSurvival(field="metadata.seq_nr", dropped=2, promised=False),
            FieldSurvival(field="val", kept=1),
        ]
    }
    assert list(ledger_lines("torch", lines))[1:] == [
        "  and 1 more that nothing promises (-v shows them)",
        "  everywhere: val",
    ]
    assert list(ledger_lines("torch", lines, verbose=True))[1:] == [
        "                   serdes",
        "  metadata.seq_nr     0/2",
        "  everywhere: val",
    ]
