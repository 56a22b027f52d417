"""Workflow commands and the summary page."""

from __future__ import annotations

import pytest

from pytest_exportcheck.records import Finding, RunError
from pytest_exportcheck.reports.github import workflow_commands
from pytest_exportcheck.reports.job_summary import job_summary
from tests.unit.reports_of import TIED, VALUE, item, report, run


@pytest.fixture
def repo(tmp_path):
    (tmp_path / "case_a.py").touch()
    return tmp_path


@pytest.fixture
def commands(repo):
    def make(*items, **options):
        return list(workflow_commands(report(*items, **options), root=repo, workspace=repo))

    return make


def failed(case="net", mode="nonstrict", finding=VALUE, **options):
    return item(case, mode, "failed", findings=(finding,), **options)


def at(line, **fields):
    return Finding(
        check="nodes", place="add", change="changed", key="target", expected="a", actual="b", line=line, **fields
    )


def test_a_failure_stands_at_the_line_of_its_case(commands):
    assert commands(item("good"), failed()) == [
        "::error file=case_a.py,line=3,title=net (torch)%3A nonstrict broke outputs::"
        "outputs: output: value: expected 1 at [0], got 2 at [0]%0Amodes: nonstrict"
    ]


def test_a_failure_stands_at_the_line_of_user_code_that_it_is_about(repo, commands):
    (repo / "net.py").touch()
    (command,) = commands(failed(finding=at(f"{repo}/net.py:12 in forward: return x + 1")))
    assert command.startswith("::error file=net.py,line=12,title=")


@pytest.mark.parametrize("file", ["/elsewhere/net.py", ".venv/lib/site-packages/net.py", "gone.py"])
def test_code_that_is_not_the_repos_has_no_annotation(repo, commands, file):
    path = repo / ".venv/lib/site-packages"
    path.mkdir(parents=True)
    (path / "net.py").touch()
    (command,) = commands(failed(finding=at(f"{repo / file}:12 in forward")))
    assert command.startswith("::error file=case_a.py,line=3,title=")


def test_a_case_from_elsewhere_is_told_without_a_file(commands):
    (command,) = commands(failed(path="/elsewhere/case_b.py"))
    assert command.startswith("::error title=net (torch)%3A ")


def test_files_are_relative_to_the_workspace(repo):
    root = repo / "models"
    root.mkdir()
    (root / "case_a.py").touch()
    (command,) = workflow_commands(report(failed()), root=root, workspace=repo)
    assert command.startswith("::error file=models/case_a.py,line=3,")


def test_a_stage_that_breaks_in_several_modes_is_told_once(commands):
    (command,) = commands(failed(mode="nonstrict-decompose-serdes"), failed(mode="nonstrict-serdes"))
    assert "title=net (torch)%3A serdes broke outputs::" in command
    assert command.endswith("%0Amodes: nonstrict-decompose-serdes, nonstrict-serdes")


def test_known_defects_are_warnings_and_what_may_be_lost_is_not_told(commands):
    lost = Finding(check="val", place="x", change="changed", expected="e", actual="a", verdict="tolerated")
    assert commands(
        item(mode="nonstrict-serdes", status="known", findings=(lost, TIED)), item("b", status="blocked")
    ) == [
        "::warning file=case_a.py,line=3,title=net (torch)%3A known defect%3A serdes-splits::"
        "state: w: untied: expected one, got two%0Amodes: nonstrict-serdes"
    ]


def test_the_worst_comes_first(commands):
    titles = [
        command.partition("title=")[2].partition("::")[0]
        for command in commands(
            item("a", status="interrupted", reason="Timeout"),
            item("b", status="stale", reason="expected to fail"),
            failed("c", finding=at("")),
            failed("d"),
            item("e", status="error", reason="its factory raised"),
            errors=[RunError(nodeid="case_a.py::import", reason="no")],
        )
    ]
    assert titles == [
        "exportcheck%3A case_a.py%3A%3Aimport",
        "e (torch)%3A could not be set up",
        "d (torch)%3A nonstrict broke outputs",
        "c (torch)%3A nonstrict broke nodes",
        "b (torch)%3A an expected failure is gone",
        "a (torch)%3A interrupted",
    ]


def test_more_than_github_shows_are_counted(commands):
    told = commands(*(failed(f"net{n:02}") for n in range(12)))
    assert sum(line.startswith("::error") for line in told) == 10
    assert told[10:] == ["::notice title=exportcheck::2 more errors: see the log of this step"]


def test_many_findings_and_long_values_are_cut(commands):
    long = Finding(check="outputs", place="output", change="changed", key="value", expected="e" * 300, actual="1\n2")
    (command,) = commands(item(status="failed", findings=(long,) * 5))
    line = f"outputs: output: value: expected {'e' * 200}..., got 1"
    assert command.endswith("::" + "%0A".join([line] * 3 + ["and 2 more findings", "modes: nonstrict"]))


def test_texts_are_escaped(commands):
    (command,) = commands(errors=[RunError(nodeid="a,b::import", reason="50%\r\nat: x")])
    assert command == "::error title=exportcheck%3A a%2Cb%3A%3Aimport::50%25%0Aat: x"


def test_the_page_has_counts_settings_matrix_legend_and_failures():
    page = job_summary(report(item(), failed(mode="nonstrict-serdes"), item("other", "nonstrict", "known")))
    assert page == (
        "## exportcheck: 1 passed, 1 known, 1 failed\n"
        "\n"
        "torch 2.14.1, python 3.11.7, linux-x86_64, exportcheck 0.1.0, profile ship, seed 0, threads 2\n"
        "\n"
        "| torch | nonstrict | nonstrict-serdes |\n"
        "|---|:-:|:-:|\n"
        "| `case_a.py` net | . | **F** |\n"
        "| `case_a.py` other | k |  |\n"
        "\n"
        ". passed, k known defect (not of the model), F failed\n"
        "\n"
        "<details><summary><code>case_a.py::net[torch-nonstrict-serdes]</code></summary>\n"
        "\n"
        "```\n"
        "serdes broke outputs\n"
        "\n"
        "  outputs: output: value\n"
        "    expected: 1 at [0]\n"
        "    got:      2 at [0]\n"
        "```\n"
        "\n"
        "</details>\n"
        "\n"
    )


def test_the_page_shows_every_mode_that_ran_also_one_that_the_run_does_not_list():
    page = job_summary(
        report(item(), failed(mode="nonstrict-fuzz"), item(mode="strict-retrace"), failed(mode="nonstrict-decompose"))
    )
    assert "| torch | nonstrict | nonstrict-fuzz | nonstrict-decompose | strict-retrace |\n" in page
    assert "| `case_a.py` net | . | **F** | **F** | . |\n" in page


def test_the_page_says_what_did_not_run():
    page = job_summary(report(item(), runs=[run(selected=3, not_run=["a", "b"], stopped="stopping after 1 failures")]))
    assert "\n**Not complete (stopping after 1 failures): 2 of 3 items did not run.**\n" in page


def test_fences_are_longer_than_those_in_the_text():
    page = job_summary(report(item(status="error", reason="```python\n<b>")))
    assert "\n````\n```python\n<b>\n````\n" in page


def test_a_long_matrix_shows_the_cases_with_a_failure_only():
    page = job_summary(report(*(item(f"net{n:02}") for n in range(50)), failed("last")))
    assert page.count("| `case_a.py`") == 1
    assert "\nand 50 more cases without a failure\n" in page


def test_a_page_of_many_failures_is_cut():
    page = job_summary(report(*(item(f"net{n:02}", status="error", reason="line\n" * 50) for n in range(30))))
    assert page.count("<details>") == 20
    assert page.count("... 10 more lines") == 20
    assert "\nand 10 more failures\n" in page


def test_a_run_without_items_has_a_page():
    assert job_summary(report()).startswith("## exportcheck: no item ran\n")
