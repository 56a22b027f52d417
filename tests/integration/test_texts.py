"""What a failed item says first: its headline, and its line in pytest's short summary."""

from __future__ import annotations

import pytest

HOOK = """
from pytest_exportcheck import Finding

def first(evidence):
    return [Finding(check="first", place="here", change="wrong", expected="one", actual="two")]

def second(evidence):
    return [Finding(check="second", place="there", change="wrong", expected="a", actual="b")]

def exportcheck_checks():
    return [first, second]
"""
RAISES = "def export(self, *args, **rest):\n    raise RuntimeError('no\\nnot today')"


@pytest.fixture
def run(echo, run_echo, monkeypatch):
    """Runs one mode on a wide terminal, with two checks that always find something."""
    monkeypatch.setenv("COLUMNS", "200")
    conftest = echo.path / "conftest.py"
    conftest.write_text(conftest.read_text() + HOOK)

    def run(case: str, *options: str) -> pytest.RunResult:
        echo.makepyfile(case_linear=case)
        return run_echo("--exportcheck-modes=nonstrict", *options)

    return run


def test_the_short_summary_has_the_first_finding(run, linear):
    for workers in ((), ("-n1",)):
        run(linear, *workers).stdout.fnmatch_lines(
            [
                "nonstrict broke first and second",
                "FAILED case_linear.py::Linear[[]echo-nonstrict[]] - first: here: wrong: expected one, got two (and 1 more)",
            ]
        )


def test_the_headline_names_only_what_fails_the_item(run, linear):
    excused = linear.replace(
        "export_case(args", "export_case(expect=[expect_failure(check='first', reason='known')], args"
    )
    result = run(excused)
    result.stdout.fnmatch_lines(
        [
            "nonstrict broke second",
            "FAILED case_linear.py::Linear[[]echo-nonstrict[]] - second: there: wrong: expected a, got b",
        ]
    )


def test_the_line_of_a_stage_that_raised_is_its_error(run_faulty, pytester, linear, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    pytester.makepyfile(case_linear=linear)
    result = run_faulty(RAISES, "--exportcheck-modes=strict", "--junit-xml=out.xml")
    result.stdout.fnmatch_lines(
        [
            "strict raised RuntimeError",
            "    got:      RuntimeError: no",
            "              not today",
            "FAILED case_linear.py::Linear[[]echo-strict[]] - stage: strict: RuntimeError: no",
        ]
    )
    xml = (pytester.path / "out.xml").read_text()
    assert '<failure message="stage: strict: RuntimeError: no">strict raised RuntimeError' in xml


def test_the_line_of_a_case_that_cannot_be_set_up_is_why(run, linear):
    run(linear.replace("(torch.randn(2, 3),)", "5")).stdout.fnmatch_lines(
        ["FAILED case_linear.py::Linear[[]echo-nonstrict[]] - case 'Linear' (*"]
    )


def test_the_line_of_a_file_that_cannot_be_imported_is_why(run):
    run("import nothing_such").stdout.fnmatch_lines(
        ["FAILED case_linear.py::import - E   ModuleNotFoundError: No module named 'nothing_such'"]
    )
