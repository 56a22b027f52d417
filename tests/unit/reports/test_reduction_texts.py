"""The sentences of a reduction."""

from __future__ import annotations

from pytest_exportcheck.records import Finding
from pytest_exportcheck.reports.reduction import (
    capture_text,
    gone_text,
    loaded_script_text,
    script_text,
    title_of,
    total_text,
)


def test_the_total_says_what_was_reached_and_at_what_cost():
    assert total_text(214, 3, 41, 12.4, complete=True) == "nodes: 214 -> 3 after 41 tries, 12 s"
    assert total_text(214, 90, 600, 80, complete=False) == (
        "nodes: 214 -> 90 after 600 tries, 80 s; the budget ended the search: --tries and --seconds raise it"
    )


def test_a_finding_that_does_not_show_is_gone_or_flaky():
    assert gone_text("repro/net", 0, 3) == (
        "repro/net: the finding does not show in any of 3 tries, so there is nothing to reduce. exportcheck replay repro/net "
        "says what happens instead."
    )
    assert gone_text("repro/net", 2, 3) == (
        "repro/net: the finding is flaky: it shows in 2 of 3 tries. Make the model deterministic first (seed, threads, "
        "uninitialised memory)."
    )


def test_the_script_is_described():
    assert script_text(19, "") == "repro.py: 19 lines, needs torch only, exits with 1"
    assert script_text(19, "mine.engine:Mine") == "repro.py: 19 lines, needs torch and mine.engine, exits with 1"
    assert loaded_script_text("it has no plain source") == "repro.py loads program.pt2: it has no plain source"


def test_a_title_uses_the_words_of_torch():
    finding = Finding(check="outputs", place="output", change="changed", key="value", expected="1", actual="2")
    assert title_of(finding, "serdes", "2.14.1") == "outputs: value after torch.export.save and load (torch 2.14.1)"
    assert title_of(finding, "mine", "2.14.1") == "outputs: value after mine (torch 2.14.1)"


def test_a_capture_says_what_is_possible():
    assert capture_text(possible=True) == (
        "a capture is compared with eager: the operators that torch captured of the model take the place of its source. What "
        "the source does besides (Python state, control flow, hooks) is not part of the reduced finding."
    )
    assert capture_text(possible=False) == (
        "the finding depends on the source of the model: the operators that torch captures of it do not show the finding when "
        "they are captured again. Shorten forward() by hand, and run exportcheck replay after each change."
    )
