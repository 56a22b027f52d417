"""Lines of a terminal: broken at spaces, with their styles."""

from __future__ import annotations

from pytest_exportcheck.reports.lines import Line, folded, listed, plain


def shown(line: Line, width: int = 30) -> list[str]:
    return [each.text for each in folded(line, width)]


def test_a_short_line_stays_as_it_is():
    line = plain("  effects: x: mutation lost")
    assert list(folded(line, 30)) == [line]


def test_a_long_line_is_broken_at_a_space_and_goes_on_indented():
    assert shown(plain("  effects: input args[0]:  mutation lost")) == [
        "  effects: input args[0]:",
        "    mutation lost",
    ]


def test_a_long_value_goes_on_below_itself_with_its_style():
    line = Line((("    expected: ", ""), ("accepted, as by eager: n 2..9", "green")))
    assert list(folded(line, 30)) == [
        Line((("    expected: ", ""), ("accepted, as by", "green"))),
        Line(((" " * 14, ""), ("eager: n 2..9", "green"))),
    ]


def test_a_word_that_is_too_long_is_not_broken():
    assert shown(plain("    at models/towers.py:10 in forward_of_the_tower_itself: x")) == [
        "    at models/towers.py:10 in",
        "      forward_of_the_tower_itself:",
        "      x",
    ]


def test_a_command_is_not_broken():
    line = Line((("Reproduce with: pytest --exportcheck 'case_a.py::net'", ""),), command=True)
    assert list(folded(line, 30)) == [line]


def test_a_list_is_broken_between_its_parts():
    parts = [("3 passed", "green"), ("4 failed", "red"), ("9 blocked by others", "")]
    assert list(listed("1 case: ", parts, 28)) == [
        Line((("1 case: ", ""), ("3 passed", "green"), (", ", ""), ("4 failed", "red"), (",", ""))),
        Line((("  ", ""), ("9 blocked by others", ""), ("", ""))),
    ]
    assert [line.text for line in listed("1 case: ", parts, 17)] == [
        "1 case: 3 passed,",
        "  4 failed,",
        "  9 blocked by",
        "  others",
    ]


def test_a_list_without_parts_is_its_head():
    assert [line.text for line in listed("1 case", [], 28)] == ["1 case"]
