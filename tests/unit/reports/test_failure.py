"""What a failed item prints."""

from __future__ import annotations

from pytest_exportcheck.records import CallSite, Finding, KnownAs, Outcome, Status
from pytest_exportcheck.reports.failure import LONGEST, failure_text, summary_line

VALUE = Finding(
    check="outputs",
    place="output['y']",
    change="changed",
    key="value",
    expected="1 at [0]",
    actual="2 at [0]",
    detail="1 of 2 elements differ, by at most 1",
    on=(
        CallSite("the example inputs"),
        CallSite("fresh inputs"),
    ),
)
UNTIED = Finding(
    check="state",
    place="w",
    change="untied",
    expected="one",
    actual="two",
    verdict="known",
    known=KnownAs("serdes-splits", "a defect", "https://issues/1"),
)
RAISED = Finding(
    check="stage", place="serdes", change="raised", expected="a program", actual="RuntimeError: no\n(raised at a.py:3)"
)


def text(*findings, status="failed", verbose=False, **options):
    outcome = Outcome(
        case="net", engine="torch", mode="strict-serdes", status=Status(status), findings=findings, **options
    )
    return failure_text(outcome, reproduce="pytest x", verbose=verbose)


def test_a_failure_is_a_headline_its_findings_notes_and_how_to_see_it_again():
    assert text(VALUE, UNTIED, notes=("eager is not bit-stable",)) == (
        "serdes broke outputs and state\n"
        "\n"
        "  outputs: output['y']: value  (on the example inputs and fresh inputs)\n"
        "    expected: 1 at [0]\n"
        "    got:      2 at [0]\n"
        "    1 of 2 elements differ, by at most 1\n"
        "\n"
        "  state: w: untied  [known: serdes-splits]\n"
        "    expected: one\n"
        "    got:      two\n"
        "    known torch defect serdes-splits: a defect (https://issues/1)\n"
        "note: eager is not bit-stable\n"
        "\n"
        "Reproduce with: pytest x"
    )


def test_an_exception_is_the_headline():
    assert text(VALUE, RAISED).splitlines()[0] == "serdes raised RuntimeError"


def test_lines_of_a_value_are_aligned():
    assert text(RAISED).splitlines()[4:6] == ["    got:      RuntimeError: no", "              (raised at a.py:3)"]


def test_two_findings_of_one_check_are_named_once():
    assert text(VALUE, VALUE).splitlines()[0] == "serdes broke outputs"


def test_a_given_reason_is_the_headline():
    assert text(VALUE, reason="strict is broken").splitlines()[0] == "strict is broken:"


def test_a_case_that_could_not_be_set_up_shows_only_why():
    assert text(status="error", reason="its factory raised") == "its factory raised\n\nReproduce with: pytest x"


def test_a_stale_expectation_shows_only_which():
    assert text(UNTIED, status="stale", reason="delete it") == "delete it\n\nReproduce with: pytest x"


def with_lines(count):
    return Finding(
        check="c",
        place="p",
        change="changed",
        key="k",
        expected="e",
        actual="\n".join(f"line {n}" for n in range(count)),
    )


def test_a_long_value_is_cut_in_the_middle():
    lines = [line.strip() for line in text(with_lines(LONGEST + 5)).splitlines()]
    assert "... 5 lines left out (-vv shows them) ..." in lines
    assert "line 9" in lines
    assert "line 10" not in lines
    assert "line 15" in lines


def test_a_long_value_is_whole_when_asked_for():
    assert "left out" not in text(with_lines(LONGEST + 5), verbose=True)


def test_a_value_of_the_longest_length_is_whole():
    assert "left out" not in text(with_lines(LONGEST))


def test_an_empty_value_keeps_its_line():
    finding = Finding(check="c", place="p", change="changed", key="k", expected="", actual="x")
    assert "    expected: \n    got:      x" in text(finding)


def test_a_verdict_without_a_row_is_named_alone():
    finding = Finding(check="c", place="p", change="changed", key="k", expected="e", actual="x", verdict="tolerated")
    assert "  c: p: k  [tolerated]" in text(finding)


def test_the_headline_and_the_summary_line_are_of_what_fails_the_item():
    outcome = Outcome(
        case="net",
        engine="torch",
        mode="strict-serdes",
        status=Status.FAILED,
        findings=(VALUE, UNTIED),
        failing=1,
    )
    assert failure_text(outcome, reproduce="pytest x").splitlines()[0] == "serdes broke outputs"
    assert summary_line(outcome) == "outputs: output['y']: value: expected 1 at [0], got 2 at [0]"


def test_the_summary_line_counts_the_other_findings():
    outcome = Outcome(case="net", engine="torch", mode="strict", status=Status.FAILED, findings=(RAISED, VALUE))
    assert summary_line(outcome) == "stage: serdes: RuntimeError: no (and 1 more)"
