"""The statuses of items."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_exportcheck.records import Status

DOCS = Path(__file__).parents[2] / "docs"
#: What pytest may report of an item, by whether its status fails and whether anything was compared.
PYTEST = {
    (False, True): {"passed", "xfailed"},
    (True, True): {"failed"},
    (True, False): {"failed", "as pytest says"},
    (False, False): {"skipped"},
}


def documented():
    """The rows of the page: status, sign, and what pytest reports."""
    table = (DOCS / "verdicts.md").read_text().split("| status | sign | pytest | when |")[1].split("\n\n")[0]
    return re.findall(r"^\| (\w+) \| `(.)` \| ([\w ]+) \|", table, re.MULTILINE)


def test_the_page_of_verdicts_explains_every_status_with_its_sign():
    assert {(status, sign) for status, sign, _ in documented()} == {(str(each), each.sign) for each in Status}


@pytest.mark.parametrize(("status", "sign", "pytest_says"), documented())
def test_the_page_says_what_pytest_reports(status, sign, pytest_says):
    found = Status(status)  # type: ignore[call-arg]  # looks a member up
    assert pytest_says in PYTEST[found.fails, found.judged]


def test_the_page_of_the_report_lists_every_status():
    (listed,) = re.findall(r"see \[verdicts\.md\]\(verdicts\.md\): ([\w, ]+) \|", (DOCS / "report.md").read_text())
    assert listed.split(", ") == [str(each) for each in Status]


def test_a_status_is_its_value_in_text():
    assert (str(Status.ENGINE_ERROR), f"{Status.ENGINE_ERROR:>13}") == ("engine_error", " engine_error")
    assert Status("failed") is Status.FAILED  # type: ignore[call-arg]  # looks a member up


def test_signs_and_ranks_tell_statuses_apart():
    assert len({each.sign for each in Status}) == len({each.rank for each in Status}) == len(Status)


def test_whatever_fails_is_worse_than_what_is_harmless_and_that_than_what_was_not_judged():
    worst_first = sorted(Status, key=lambda each: each.rank)
    kinds = [(not each.fails, not (each.fails or each.judged)) for each in worst_first]
    assert kinds == sorted(kinds)
