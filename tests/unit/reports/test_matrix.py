"""The matrix: a line for each case, columns grouped by engine and capture."""

from __future__ import annotations

from pytest_exportcheck.modes import DEFAULT, ModeTree
from pytest_exportcheck.records import Status
from pytest_exportcheck.reports.matrix import matrix_lines
from tests.unit.reports_of import item as row


def lines(*rows, verbose=False, width=80):
    return [line.text for line in matrix_lines(rows, verbose=verbose, width=width)]


def colours(*rows):
    return {text: colour for line in matrix_lines(rows, verbose=False, width=80) for text, colour in line.pieces}


def table(*rows, **options):
    """Only the header and the cases."""
    shown = lines(*rows, **options)[1:]
    return shown[: shown.index("")]


def every(*modes, case="net", engine="torch", status="passed", fuzz=False):
    named = [mode for each in modes for mode in ((each, f"{each}-fuzz") if fuzz else (each,))]
    return [row(case, mode, status, engine=engine) for mode in named]


def test_a_line_a_case_and_a_sign_a_mode_with_what_the_signs_mean():
    assert lines(
        row(mode="strict", status="failed"),
        row(mode="nonstrict"),
        row("other", "nonstrict", "blocked", path="case_b.py"),
    ) == [
        "",
        "engine   torch",
        "capture  nonstrict  strict",
        "edges    -          -",
        "case_a.py",
        "  net    .          F",
        "case_b.py",
        "  other  b",
        "",
        "signs: . passed, F failed, b blocked by an earlier stage",
    ]


def test_modes_of_a_capture_share_its_title_and_edges_are_letters():
    shown = lines(*every("nonstrict", "nonstrict-decompose", "nonstrict-decompose-serdes", "nonstrict-unflatten"))
    assert shown[2:] == [
        "capture  nonstrict",
        "edges    - d ds u",
        "case_a.py",
        "  net    . . .  .",
        "",
        "signs: . passed",
        "edges: - none, d decompose, s serdes, u unflatten",
    ]


def test_edges_with_one_first_letter_have_longer_names():
    shown = lines(*every("strict-decompose", "strict-dequantise", "strict-dequantise-decompose"))
    assert shown[3] == "edges    d de de-d"
    assert shown[-1] == "edges: - none, d decompose, de dequantise"


def test_a_capture_that_is_wider_than_its_columns_is_named_by_its_initials():
    shown = lines(*every("nonstrict_postdispatch", "strict"))
    assert shown[2] == "capture  np  strict"
    assert shown[-1] == "captures: np nonstrict_postdispatch"


def test_engines_stand_side_by_side():
    rows = [*every("nonstrict", "strict"), *every("nonstrict", engine="reference")]
    assert table(*rows) == [
        "engine   torch              reference",
        "capture  nonstrict  strict  nonstrict",
        "edges    -          -       -",
        "case_a.py",
        "  net    .          .       .",
    ]


def test_a_long_name_of_an_engine_does_not_shift_the_next_one():
    rows = [*every("quick", engine="a-long-name"), *every("quick", engine="b")]
    assert table(*rows) == [
        "engine   a-long-name  b",
        "capture  quick        quick",
        "edges    -            -",
        "case_a.py",
        "  net    .            .",
    ]


def test_a_fuzzed_mode_is_the_second_sign_of_its_mode():
    rows = [
        *every("nonstrict", "nonstrict-serdes", fuzz=True),
        row(mode="strict"),
        row(mode="nonstrict-serdes-fuzz", status="failed"),
    ]
    shown = lines(*rows)
    assert shown[1:6] == [
        "engine   torch",
        "capture  nonstrict  strict",
        "edges    -  s       -",
        "case_a.py",
        "  net    .. .F      .",
    ]
    assert "signs: . passed, F failed, second sign of a pair: sizes fuzzed" in shown


def test_the_first_sign_is_empty_if_only_the_fuzzed_mode_ran():
    assert table(row(mode="strict-fuzz"))[-1] == "  net     ."


def test_the_default_modes_of_both_engines_fit_80_columns_when_fuzzed():
    modes = ("nonstrict", "nonstrict-serdes", "nonstrict-retrace", "nonstrict-interop")
    rows = [*every(*DEFAULT, fuzz=True), *every(*modes, engine="reference", fuzz=True)]
    shown = table(*rows)
    assert len(shown) == 5
    assert max(map(len, shown)) <= 80


def test_columns_without_room_come_below():
    rows = [*every("nonstrict", "nonstrict-serdes"), *every("nonstrict", engine="reference")]
    shown = lines(*rows, width=22)
    assert [line for line in shown if line.startswith("engine")] == ["engine   torch", "engine   reference"]


def test_every_mode_of_three_stages_is_shown_within_the_width():
    tree = ModeTree.of(("nonstrict", "strict"), ("decompose", "serdes", "retrace", "interop", "unflatten"))
    modes = [str(mode) for mode in tree.to_depth(3)]
    shown = lines(*every(*modes, fuzz=True))
    assert max(map(len, shown)) <= 80
    assert sum(line.count("..") for line in shown if line.startswith("  net")) == len(modes)


def test_the_middle_of_a_long_name_is_left_out_where_the_columns_need_the_room():
    name = "transformers_LlamaForCausalLM_with_a_static_cache_of_eight"
    shown = table(*every(*DEFAULT, case=name, fuzz=True))
    assert shown[-1].split()[0] == "transformers_LlamaF..tic_cache_of_eight"
    assert max(map(len, shown)) <= 80


def test_a_long_name_is_whole_where_there_is_room():
    name = "n" * 60
    assert table(row(name))[-1] == f"  {name}  ."


def test_cases_that_fail_come_first():
    rows = [row("a"), row("b", status="failed"), row("c", status="known"), row("d", status="stale", path="case_b.py")]
    assert [" ".join(line.split()) for line in table(*rows)[3:]] == [
        "case_a.py",
        "b F",
        "case_b.py",
        "d S",
        "case_a.py",
        "a .",
        "c k",
    ]


def many(count, **last):
    return [row(f"net{n}") for n in range(count - 1)] + [row("last", **last)]


def test_of_a_long_list_cases_that_passed_everywhere_are_counted():
    shown = lines(*many(9, status="failed"))
    assert [line for line in shown if line.startswith("  ")] == ["  last   F"]
    assert shown[-1] == "8 other cases passed in every mode (-v lists them)"


def test_a_long_list_without_anything_to_see_is_a_line():
    assert lines(*many(9)) == ["9 cases passed in every mode (-v lists them)"]


def test_of_a_long_list_at_most_twenty_cases_are_shown_if_they_do_not_fail():
    rows = [*(row(f"known{n}", status="known") for n in range(30)), row("bad", status="failed"), row("good")]
    shown = lines(*rows)
    assert sum(line.startswith("  ") for line in shown) == 20
    assert shown[-1] == "12 other cases did not fail (-v lists them)"


def test_every_case_that_fails_is_shown():
    rows = [row(f"bad{n}", status="failed") for n in range(30)]
    assert sum(line.startswith("  bad") for line in lines(*rows)) == 30


def test_verbose_shows_every_case():
    assert sum(line.startswith("  net") for line in lines(*many(41), verbose=True)) == 40


def test_a_short_list_is_shown_whole():
    assert not any("other case" in line for line in lines(*many(8)))


def test_every_status_has_a_sign_of_its_own():
    assert len({status.sign for status in Status}) == len(Status)


def test_signs_have_the_colour_of_their_status():
    shown = colours(row(status="failed"), row(mode="strict"))
    assert (shown["F"], shown["."]) == ("red", "green")
