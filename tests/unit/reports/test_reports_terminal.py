"""The matrix and what stands under it."""

from __future__ import annotations

from reports_of import item as row

from pytest_exportcheck.records import Finding, KnownAs, Status
from pytest_exportcheck.reports.terminal import summary


def known(name):
    defect = KnownAs(name, "a defect", f"https://issues/{name}")
    return Finding(check="state", place="w", change="untied", expected="e", actual="a", verdict="known", known=defect)


def lines(*rows, verbose=False):
    return ["".join(text for text, _ in line.pieces).rstrip() for line in summary(rows, verbose=verbose)]


def colours(*rows):
    return {text: colour for line in summary(rows, verbose=False) for text, colour in line.pieces}


def test_a_row_a_case_and_a_column_a_mode():
    assert lines(
        row(mode="strict", status="failed"),
        row(mode="nonstrict"),
        row("other", "nonstrict", "blocked", path="case_b.py"),
    ) == [
        "",
        "engine torch  nonstrict",
        "              | strict",
        "              | |",
        "case_a.py",
        "  net         . F",
        "case_b.py",
        "  other       b",
        "",
        ". passed   F failed   b blocked by an earlier stage",
        "exportcheck: 2 cases, 3 items: 1 passed, 1 failed, 1 blocked",
    ]


def test_each_engine_has_its_matrix():
    shown = lines(row(engine="torch"), row(engine="mine", mode="special"))
    assert "engine torch  nonstrict" in shown
    assert "engine mine  special" in shown


def test_a_capture_that_only_an_engine_has_comes_last():
    assert lines(row(mode="quick"), row(mode="strict"))[1:3] == ["engine torch  strict", "              | quick"]


def test_a_fuzzed_mode_is_next_to_its_mode_and_has_its_whole_name_without_it():
    modes = ("strict-fuzz", "nonstrict-serdes-fuzz", "nonstrict-fuzz", "nonstrict")
    assert lines(*(row(mode=mode) for mode in modes))[1:5] == [
        "engine torch  nonstrict",
        "              | fuzz",
        "              | | nonstrict-serdes-fuzz",
        "              | | | strict-fuzz",
    ]


def test_a_long_case_name_widens_the_matrix():
    name = "n" * 30
    shown = lines(row(name), row("short"))
    assert f"  {name}  ." in shown
    assert f"  short{' ' * 27}." in shown


def test_every_status_has_a_sign_of_its_own():
    assert len({status.sign for status in Status}) == len(Status)


def test_signs_and_counts_have_the_colour_of_their_status():
    shown = colours(row(status="failed"), row(mode="strict"))
    assert (shown["F"], shown["1 failed"]) == ("red", "red")
    assert (shown["."], shown["1 passed"]) == ("green", "green")


def test_one_of_each_is_singular():
    assert lines(row())[-1] == "exportcheck: 1 case, 1 item: 1 passed"


def test_known_defects_are_counted():
    ties, order = known("ties"), known("order")
    rows = [
        row(status="known", findings=(ties, ties)),
        row(mode="strict", status="known", findings=(ties, order)),
    ]
    assert lines(*rows)[-3:-1] == [
        "known torch defect ties: a defect (https://issues/ties): 2 items",
        "known torch defect order: a defect (https://issues/order): 1 item",
    ]


def test_a_note_is_shown_once_a_case():
    rows = [row(notes=("unstable",)), row(mode="strict", notes=("unstable",)), row("other", notes=("unstable",))]
    assert [line for line in lines(*rows) if line.startswith("note")] == [
        "note: net: unstable",
        "note: other: unstable",
    ]


def test_the_three_slowest_captures_are_named():
    rows = [row(name, seconds={"torch-strict": seconds}) for name, seconds in zip("abcd", [1, 4, 2, 3], strict=True)]
    assert lines(*rows)[-2] == "slowest captures: b[torch-strict] 4.0s, d[torch-strict] 3.0s, c[torch-strict] 2.0s"


def test_an_edge_is_no_capture():
    assert not any("slowest" in line for line in lines(row(seconds={"torch-strict-serdes": 9.0})))


def many(count, **last):
    return [row(f"net{n}", path="case_a.py") for n in range(count - 1)] + [row("last", **last)]


def test_of_a_long_list_only_the_rows_that_say_something_are_shown():
    shown = lines(*many(41, status="failed"))
    assert sum(line.startswith("  net") for line in shown) == 0
    assert "  last        F" in shown
    assert "... and 40 more cases that passed in every mode (-v shows them)" in shown


def test_verbose_shows_every_row():
    assert sum(line.startswith("  net") for line in lines(*many(41), verbose=True)) == 40


def test_a_list_that_fits_is_shown_whole():
    assert not any("more cases" in line for line in lines(*many(40)))
