"""The summary: what is above the matrix, and the counts below it."""

from __future__ import annotations

from pytest_exportcheck.records import FieldSurvival, Finding, KnownAs
from pytest_exportcheck.reports.terminal import summary
from tests.unit.reports_of import item as row


def known(name, title="a defect"):
    defect = KnownAs(name, title, f"https://issues/{name}")
    return Finding(check="state", place="w", change="untied", expected="e", actual="a", verdict="known", known=defect)


def lines(*rows, verbose=False, width=80):
    return [line.text for line in summary(rows, verbose=verbose, width=width)]


def colours(*rows):
    return {text: colour for line in summary(rows, verbose=False) for text, colour in line.pieces}


def test_the_matrix_and_the_counts_come_last():
    shown = lines(
        row(seconds={"torch-nonstrict": 1.0}, notes=("unstable",)),
        row(mode="strict", status="known", findings=(known("ties"),), ledger=(FieldSurvival(field="val", kept=1),)),
    )
    assert shown == [
        "slowest captures: net[torch-nonstrict] 1.0s",
        "preservation ledger of torch: fields that a stage did not keep everywhere",
        "  1 field kept in every place (-v lists them)",
        "note: net: unstable",
        "known defects (details: exportcheck explain ID)",
        "  ties (1 item): a defect",
        "    https://issues/ties",
        "",
        "engine   torch",
        "capture  nonstrict  strict",
        "edges    -          -",
        "case_a.py",
        "  net    .          k",
        "",
        "signs: . passed, k known defect (not of the model)",
        "exportcheck: 1 case, 2 items: 1 passed, 1 known",
    ]


def test_counts_have_the_colour_of_their_status():
    shown = colours(row(status="failed"), row(mode="strict"))
    assert (shown["1 failed"], shown["1 passed"]) == ("red", "green")


def test_one_of_each_is_singular():
    assert lines(row())[-1] == "exportcheck: 1 case, 1 item: 1 passed"


def test_known_defects_are_counted():
    ties, order = known("ties"), known("order")
    rows = [
        row(status="known", findings=(ties, ties)),
        row(mode="strict", status="known", findings=(ties, order)),
    ]
    assert lines(*rows)[:5] == [
        "known defects (details: exportcheck explain ID)",
        "  ties (2 items): a defect",
        "    https://issues/ties",
        "  order (1 item): a defect",
        "    https://issues/order",
    ]


def test_a_long_title_is_wrapped():
    title = "torch.export.save/load turns tied parameters into separate Parameters that share storage"
    assert lines(row(status="known", findings=(known("serdes-splits-tied-parameters", title),)))[1:4] == [
        "  serdes-splits-tied-parameters (1 item): torch.export.save/load turns tied",
        "    parameters into separate Parameters that share storage",
        "    https://issues/serdes-splits-tied-parameters",
    ]


def test_a_note_is_shown_once_a_case():
    rows = [row(notes=("unstable",)), row(mode="strict", notes=("unstable",)), row("other", notes=("unstable",))]
    assert [line for line in lines(*rows) if line.startswith("note")] == [
        "note: net: unstable",
        "note: other: unstable",
    ]


def test_sentences_are_wrapped_to_the_terminal():
    raised = Finding(
        check="stage",
        place="nonstrict",
        change="raised",
        expected="a program",
        actual="ValueError: " + "long " * 30,
        verdict="engine_error",
        fault_of="mine",
    )
    rows = [
        row("n" * 30, status="engine_error", findings=(raised,), notes=("word " * 30,)),
        row("n" * 30, mode="strict", status="failed", findings=(known("x"),), seconds={"torch-strict": 1.0}),
        row("n" * 30, mode="strict", engine="reference"),
    ]
    shown = lines(*rows)
    assert [line for line in shown if len(line) > 80] == []
    assert shown[0] == f"slowest captures: {'n' * 30}[torch-strict] 1.0s"


def test_the_three_slowest_captures_are_named():
    rows = [row(name, seconds={"torch-strict": seconds}) for name, seconds in zip("abcd", [1, 4, 2, 3], strict=True)]
    assert lines(*rows)[:2] == [
        "slowest captures: b[torch-strict] 4.0s, d[torch-strict] 3.0s,",
        "  c[torch-strict] 2.0s",
    ]


def test_an_edge_is_no_capture():
    assert not any("slowest" in line for line in lines(row(seconds={"torch-strict-serdes": 9.0})))
