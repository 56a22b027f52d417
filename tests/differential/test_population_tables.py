"""The tables of docs/differences.md: what is written where."""

from __future__ import annotations

import pytest

from tests.differential.captures import CHECKS, _missing
from tests.differential.populations import POPULATIONS, sampling
from tests.differential.tables import FILES, MARKS, Tally, table, write

PAGE = "head\n<!-- table -->\nold\n\n<!-- strict table -->\nold too\n"


@pytest.mark.parametrize(
    ("mark", "expected"),
    [
        (MARKS[0], "head\n<!-- table -->\nnew\n\n<!-- strict table -->\nold too\n"),
        (MARKS[1], "head\n<!-- table -->\nold\n\n<!-- strict table -->\nnew\n"),
    ],
)
def test_one_table_is_replaced_and_the_other_stays(tmp_path, mark, expected):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    write(page, mark, "new")
    assert page.read_text() == expected


def test_a_table_counts_what_applies_and_lists_the_others():
    tally = Tally("modules (one of 2)", tried=3)
    good = dict.fromkeys((*CHECKS, *FILES), "")
    tally.add("First", good, {})
    tally.add("Second", {**good, "operators": "sin instead of cos", "torch>torch": "fails"}, {})
    tally.note("not measured", "took longer than 300 seconds", "Third")
    assert list(table([tally], ("operators", "torch>torch", "torch>reference"))) == [
        "| population | tried | torch runs | operators | torch>torch | torch>reference |",
        "|---|---|---|---|---|---|",
        "| modules (one of 2) | 3 | 2 | 1/2 | 1/2 | 1/1 |",
        "",
        "The lists name the programs that a column does not count, with the first difference or the error.",
        "",
        "### modules (one of 2)",
        "",
        "- **not measured**: Third: took longer than 300 seconds",
        "- **operators**: Second: sin instead of cos",
        "- **torch>torch**: Second: fails",
    ]


def test_every_nth_model_is_chosen_for_all_populations_or_one():
    assert sampling(["2", "timm=3"]) == {**dict.fromkeys(POPULATIONS, 2), "timm": 3}


def test_a_population_that_does_not_exist_is_refused():
    with pytest.raises(SystemExit) as caught:
        sampling(["tim=3"])
    assert str(caught.value) == (f"--every takes N or POPULATION=N, got 'tim=3'. Populations: {', '.join(POPULATIONS)}")


def test_a_guard_with_its_factors_exchanged_is_the_same():
    one, other = "L['a'].size()[0]", "L['b'].size()[1]"
    assert _missing([f"({one}*{other}) % {one} == 0"], [f"({other}*{one}) % {one} == 0"]) == ""
    assert _missing([f"({one}*{other}) % {one} == 0"], [f"({other}*{other}) % {one} == 0"]) != ""
