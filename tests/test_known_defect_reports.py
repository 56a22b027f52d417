"""The reports in docs/known-defects are true: each reproducer shows its defect, and the index lists every known defect.

A reproducer that fails here is good news: torch has mended the defect, and its rows need an upper version bound."""

from __future__ import annotations

import re
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
import torch
from packaging.specifiers import SpecifierSet

from pytest_exportcheck.policy import KNOWN
from pytest_exportcheck.policy.known_defects.match import is_installed

FOLDER = Path(__file__).parents[1] / "docs" / "known-defects"
REPORTS = {path.name: path.read_text() for path in sorted(FOLDER.glob("*.md")) if path.name != "README.md"}
THREAD = re.compile(r"\[(pytorch|executorch)#(\d+)\]\(https://github\.com/pytorch/\1/(?:issues|pull)/\2\)")
ROWS = {row.id: row for row in KNOWN}


@dataclass(frozen=True)
class Reproducer:
    """A script of a report, and the first line of the error that it ends with."""

    report: str
    number: int
    script: str
    error: str

    def __str__(self) -> str:
        return f"{self.report}-{self.number}"


def reproducers_of(report: str) -> list[Reproducer]:
    found = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)\n```\n", REPORTS[report], re.DOTALL)
    return [Reproducer(report, number, *each) for number, each in enumerate(found)]


def rows_of(report: str) -> list[str]:
    """The ids that the last line of a report names."""
    return re.findall(r"`([a-z0-9-]+)`", REPORTS[report].splitlines()[-1])


def error_of(reproducer: Reproducer, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a script as a module, and return the first line of its error, or nothing.

    Dynamo looks names up in the module, and remembers modules by their names.
    """
    module = ModuleType(re.sub(r"\W", "_", str(reproducer)))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    torch._dynamo.reset()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(reproducer.script, str(reproducer), "exec"), module.__dict__)
    except Exception as error:
        return f"{type(error).__name__}: {error}".splitlines()[0].rstrip()
    return ""


def is_quoted(error: str, quotation: str) -> bool:
    """Compare an error with what a report quotes, where ``...`` stands for any text."""
    return re.fullmatch(".*".join(map(re.escape, quotation.split("..."))), error) is not None


def references() -> dict[str, str]:
    """The last cell of each row of the README's index."""
    table = (FOLDER / "README.md").read_text().split("## Index")[1]
    return dict(re.findall(r"^\| ([a-z0-9-]+) \| .* \| (\[.*) \|$", table, re.MULTILINE))


def marked_reproducers() -> list[object]:
    """Every reproducer, marked by the runtime that it needs."""
    found: list[object] = []
    for report in REPORTS:
        runtimes = {ROWS[row].stages[0] for row in rows_of(report) if ROWS[row].runtime}
        marks = [pytest.mark.runtime(each) for each in runtimes]
        found += [pytest.param(each, id=str(each), marks=marks) for each in reproducers_of(report)]
    return found


@pytest.mark.parametrize("reproducer", marked_reproducers())
def test_a_reproducer_shows_its_defect_on_the_versions_of_its_rows(reproducer, monkeypatch):
    (versions,) = {ROWS[row].torch for row in rows_of(reproducer.report)}
    (runtime,) = {ROWS[row].runtime for row in rows_of(reproducer.report)}
    if runtime and not is_installed(runtime):
        pytest.skip(f"{runtime} is not installed")
    error = error_of(reproducer, monkeypatch)
    if SpecifierSet(versions).contains(torch.__version__, prereleases=True):
        assert is_quoted(error, reproducer.error), f"{error!r} is not {reproducer.error!r}"
    else:
        assert not is_quoted(error, reproducer.error)


@pytest.mark.parametrize("report", REPORTS)
def test_a_report_can_be_filed(report):
    text = REPORTS[report]
    headings = [line.split(":")[0] for line in text.splitlines() if line.startswith("## ")]
    count = len(reproducers_of(report))
    assert text.startswith("# ")
    assert "\nExpected: " in text
    assert count
    assert headings == ["## Reproducer"] * count + ["## Versions"]
    assert text.count("```") == 4 * count
    assert all(len(list(filter(None, each.script.splitlines()))) < 30 for each in reproducers_of(report))
    assert "exportcheck" not in text
    assert set(rows_of(report)) <= set(ROWS)


def test_the_index_lists_every_known_defect():
    listed = (FOLDER / "README.md").read_text().splitlines()
    wanted = [f"| {row.id} | {row.title} | {row.torch} | {references().get(row.id, '')} |" for row in KNOWN]
    assert [line for line in wanted if line not in listed] == []
    assert sorted(references()) == sorted(ROWS)


def test_the_index_refers_to_a_thread_of_torch_or_to_the_report_that_names_the_row():
    reported = {row: f"[{report}]({report})" for report in REPORTS for row in rows_of(report)}
    assert {id_: each for id_, each in references().items() if not THREAD.fullmatch(each)} == reported


def test_a_row_names_the_thread_or_the_report_of_the_index():
    links = {row: re.search(r"\]\((.*)\)$", each).group(1) for row, each in references().items()}
    issues = {row: link if link.startswith("https://") else f"docs/known-defects/{link}" for row, link in links.items()}
    assert {row.id: row.issue for row in KNOWN} == issues


def test_an_error_is_compared_with_its_quotation():
    assert is_quoted("ValueError: got <at 0x1> [*]", "ValueError: got ... [*]")
    assert not is_quoted("ValueError: got 1, 2", "ValueError: got 1")
    assert not is_quoted("", "ValueError: got 1")
