"""What a failed item prints."""

from __future__ import annotations

from dataclasses import replace

from pytest_exportcheck.records import CallSite, Finding, KnownAs, Outcome, Status
from pytest_exportcheck.reports.failure import LONGEST, failure_lines, failure_text, headline, summary_line

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
        case="net",
        engine="torch",
        mode="strict-serdes",
        status=Status(status),  # type: ignore[call-arg]  # looks a member up
        findings=findings,
        **options,
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
        "    known defect serdes-splits: a defect\n"
        "    reported at https://issues/1\n"
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


def outcome_of(mode, *findings, **options):
    given = {"case": "net", "engine": "torch", "status": Status.FAILED, **options}
    return Outcome(mode=mode, findings=findings, **given)


def folded(outcome, *among):
    return failure_text(outcome, reproduce="pytest x", among=among)


def test_a_finding_of_several_modes_is_shown_once_with_its_modes():
    first, second, third = (outcome_of(mode, VALUE) for mode in ("nonstrict", "strict", "strict-serdes"))
    assert folded(first, first, second, third) == (
        "nonstrict broke outputs\n"
        "\n"
        "  outputs: output['y']: value  (on the example inputs and fresh inputs)\n"
        "    expected: 1 at [0]\n"
        "    got:      2 at [0]\n"
        "    1 of 2 elements differ, by at most 1\n"
        "    the same in: torch-strict, torch-strict-serdes\n"
        "\n"
        "Reproduce with: pytest x"
    )


def test_a_later_mode_names_the_one_that_shows_the_finding_and_shows_what_only_it_has():
    first, second = outcome_of("nonstrict", VALUE), outcome_of("strict", VALUE, UNTIED)
    assert folded(second, first, second) == (
        "strict broke outputs and state\n"
        "\n"
        "  state: w: untied  [known: serdes-splits]\n"
        "    expected: one\n"
        "    got:      two\n"
        "    known defect serdes-splits: a defect\n"
        "    reported at https://issues/1\n"
        "\n"
        "  outputs: output['y']: value: the same as in torch-nonstrict\n"
        "\n"
        "Reproduce with: pytest x"
    )


def test_what_was_allowed_does_not_make_another_finding():
    lowered = outcome_of("nonstrict-decompose", replace(VALUE, detail="allowed: 1e-7"))
    assert "the same as in torch-nonstrict" in folded(lowered, outcome_of("nonstrict", VALUE), lowered)


def test_another_value_is_another_finding():
    other = outcome_of("strict", replace(VALUE, actual="3 at [0]"))
    assert "the same" not in folded(other, outcome_of("nonstrict", VALUE), other)


def test_the_finding_of_another_case_is_not_named():
    here = outcome_of("strict", VALUE)
    elsewhere = (outcome_of("strict", VALUE, case="other"), outcome_of("strict", VALUE, path="case_b.py"))
    assert "the same" not in folded(here, *elsewhere, here)


def test_an_item_that_shows_only_its_reason_is_not_named():
    stale, here = outcome_of("nonstrict", VALUE, status=Status.STALE), outcome_of("strict", VALUE)
    assert "the same" not in folded(here, stale, here)


def test_values_verdicts_and_the_line_of_the_user_have_styles():
    finding = replace(UNTIED, line="net.py:3 in forward: return x")
    outcome = outcome_of("strict", VALUE, finding)
    styles = {text.strip(): style for line in failure_lines(outcome, reproduce="x") for text, style in line.pieces}
    assert {text: style for text, style in styles.items() if style} == {
        "strict broke outputs and state": "red bold",
        "1 at [0]": "green",
        "2 at [0]": "red",
        "state: w: untied  [known: serdes-splits]": "yellow",
        "one": "green",
        "two": "red",
        "net.py:3 in forward: return x": "bold",
        "known defect serdes-splits: a defect": "yellow",
        "reported at https://issues/1": "yellow",
    }


def test_the_headline_and_the_summary_name_an_error_without_its_module():
    raised = replace(RAISED, actual="torch._dynamo.exc.Unsupported: no v1.2: x")
    outcome = Outcome(case="net", engine="torch", mode="strict", status=Status.FAILED, findings=(raised,))
    assert headline(outcome) == "strict raised Unsupported"
    assert summary_line(outcome) == "stage: serdes: Unsupported: no v1.2: x"
