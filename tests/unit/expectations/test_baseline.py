"""Writing the file of expected failures anew: sorted, stable, and nothing that people wrote is lost."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pytest_exportcheck.expectations.baseline import ExpectationDelta, Failure, accepted, delta_of, rewritten
from pytest_exportcheck.expectations.file import ExpectationsFile, read
from pytest_exportcheck.records import Expectation, ExpectationMatch, Finding, Judgement, Origin, Outcome, Status

FILE = """\
# The shop's.

# never mind
[[expect]]
case = "case_shop.py::mlp"
mode = "strict*"
reason = "issue 12"

[[expect]]
case = "other"
reason = "issue 13"
"""
VALUE = Finding(check="outputs", place="output", change="changed", key="value", expected="1", actual="2")
RAISED = Finding(check="stage", place="serdes", change="raised", expected="", actual="TypeError: <a at 0x7f3a>\nmore")


def text_of(file, deltas):
    return rewritten(file, deltas).text


def failing(mode, check="outputs", found="output: value", case="case_shop.py::mlp"):
    return Failure(case, "torch", mode, check, found)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "expected.toml"
    path.write_text(FILE)
    return read(path)


def judgement(status="failed", failing=0, **reckoning):
    return Judgement(
        outcome=Outcome(
            case="mlp",
            engine="torch",
            mode="strict",
            status=Status(status),  # type: ignore[call-arg]  # looks a member up
            failing=failing,
        ),
        reckoning=ExpectationMatch(mode="strict", **reckoning),
    )


def entry(line, form="[[expect]]"):
    return Expectation(reason="r", origin=Origin("", "expected.toml", line), form=form)


def test_a_failure_becomes_an_entry():
    assert text_of(ExpectationsFile(Path("e.toml")), [ExpectationDelta(failures=(failing("strict"),))]) == (
        '[[expect]]\ncase = "case_shop.py::mlp"\nengine = "torch"\nmode = "strict"\ncheck = "outputs"\n'
        'reason = "known since this file was written: output: value"\n'
    )


def test_entries_are_sorted_whatever_ran_first():
    deltas = [
        ExpectationDelta(failures=(failing(mode, check),))
        for mode in ("strict", "nonstrict")
        for check in ("state", "val")
    ]
    texts = set()
    for seed in range(5):
        random.Random(seed).shuffle(deltas)
        texts.add(text_of(ExpectationsFile(Path("e.toml")), deltas))
    (text,) = texts
    modes = [line for line in text.splitlines() if line.startswith(("mode", "check"))]
    assert modes == [
        *('mode = "nonstrict"', 'check = "state"', 'mode = "nonstrict"', 'check = "val"'),
        *('mode = "strict"', 'check = "state"', 'mode = "strict"', 'check = "val"'),
    ]


def test_several_findings_of_one_check_are_one_entry():
    deltas = [ExpectationDelta(failures=(failing("strict", found="b: value"), failing("strict", found="a: value")))]
    assert text_of(ExpectationsFile(Path("e.toml")), deltas).count("[[expect]]") == 1


def test_what_did_not_run_or_still_fails_stays_word_for_word(file):
    assert text_of(file, [ExpectationDelta(excused=((4, failing("strict")),))]) == FILE


def test_what_no_longer_fails_goes(file):
    text = text_of(file, [ExpectationDelta(stale=(4,))])
    assert text == '# The shop\'s.\n\n[[expect]]\ncase = "other"\nreason = "issue 13"\n'


def test_what_fails_in_part_is_narrowed_to_that_part(file):
    text = text_of(file, [ExpectationDelta(stale=(4,)), ExpectationDelta(excused=((4, failing("strict-serdes")),))])
    assert (
        '[[expect]]\ncase = "case_shop.py::mlp"\nengine = "torch"\nmode = "strict-serdes"\ncheck = "outputs"\n'
        'reason = "issue 12"\n'
    ) in text
    assert "never mind" not in text and 'mode = "strict*"' not in text


def test_writing_twice_changes_nothing(file, tmp_path):
    deltas = [ExpectationDelta(failures=(failing("strict"),), stale=(4,))]
    path = tmp_path / "again.toml"
    path.write_text(text_of(file, deltas))
    again = read(path)
    excused = [(each.line, failing("strict")) for each in again.entries if each.expectation.mode == "strict"]
    assert text_of(again, [ExpectationDelta(excused=tuple(excused))]) == path.read_text()


@pytest.mark.parametrize("text", ['a "quoted" \\ word', "tab\tnew\nline", "\x7f\x00\x1f", "ünïcødé 🙂"])
def test_any_text_is_read_back_as_it_was(tmp_path, text):
    path = tmp_path / "e.toml"
    path.write_text(
        text_of(ExpectationsFile(path), [ExpectationDelta(failures=(failing("strict", found=text),))]), "utf-8"
    )
    assert read(path).entries[0].expectation.reason == f"known since this file was written: {text}"


def test_a_name_with_glob_characters_means_itself(tmp_path):
    path = tmp_path / "e.toml"
    path.write_text(
        text_of(ExpectationsFile(path), [ExpectationDelta(failures=(failing("strict", case="a[1]/c.py::mlp"),))])
    )
    assert read(path).of("a[1]/c.py", "mlp")
    assert not read(path).of("a1/c.py", "mlp")


def test_the_tally_of_an_outcome():
    given = judgement(unexcused=(VALUE, RAISED), excused=((entry(4), VALUE), (entry(9, "expect_failure"), VALUE)))
    assert delta_of(given, "case_shop.py") == ExpectationDelta(
        failures=(failing("strict"), failing("strict", "stage", "TypeError: <a at 0x...>")),
        excused=((4, failing("strict")),),
    )
    assert [each.found for each in delta_of(given, "c.py").failures] == ["output: value", "TypeError: <a at 0x...>"]


def test_what_is_written_no_longer_fails():
    given = accepted(judgement(unexcused=(VALUE,), failing=1), Path("e.toml"))
    assert (given.status, given.reason, given.failing) == ("expected", "written to e.toml", 0)


def test_what_is_deleted_is_no_longer_stale():
    given = accepted(judgement("stale", stale=(entry(4),)), Path("e.toml"))
    assert (given.status, given.reason) == ("passed", "removed from e.toml")


def test_a_stale_decorator_stays_stale():
    assert accepted(judgement("stale", stale=(entry(4, "expect_failure"),)), Path("e.toml")).status == "stale"
