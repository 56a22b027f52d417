"""``exportcheck explain``: known defects of torch and checks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_exportcheck import explain
from pytest_exportcheck.cli import main
from pytest_exportcheck.policy import KNOWN
from pytest_exportcheck.policy.contract import JUDGED

ROOT = Path(__file__).parents[2]


def test_a_defect_with_a_report_is_printed_with_it(capsys):
    assert main(["explain", "serdes-str-output"]) == 0
    report = (ROOT / "docs/known-defects/serdes-str-output.md").read_text()
    assert capsys.readouterr().out == (
        "serdes-str-output: a program that returns a str is saved and cannot be loaded\n"
        "\n"
        "torch:    >=2.13\n"
        "explains: stage: raised\n"
        "at:       serdes\n"
        "engines:  torch\n"
        "reported: docs/known-defects/serdes-str-output.md in the project's repository,\n"
        "          printed below\n"
        "\n" + report
    )


def test_a_defect_with_a_public_issue_names_it(capsys):
    assert main(["explain", "keyword-in-path"]) == 0
    assert capsys.readouterr().out == (
        "keyword-in-path: a path of the module with a Python keyword (heads.class.weight)\n"
        "  makes code that cannot be parsed; rename it\n"
        "\n"
        "torch:    >=2.13\n"
        "explains: stage: raised\n"
        "at:       every stage\n"
        "engines:  every engine\n"
        "verdict:  fails: there is no program to ship\n"
        "reported: https://github.com/pytorch/pytorch/issues/188538\n"
    )


def test_a_report_that_is_not_installed_is_named(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(explain, "_REPORTS", (tmp_path,))
    assert main(["explain", "serdes-str-output"]) == 0
    assert capsys.readouterr().out.endswith(
        "reported: docs/known-defects/serdes-str-output.md in the project's repository\n"
    )


def test_a_check_is_a_paragraph_and_its_levels(capsys):
    assert main(["explain", "stability"]) == 0
    assert capsys.readouterr().out == (
        "Stability: an edge that is applied again changes nothing more. Judged where a\n"
        "mode repeats its last edge (nonstrict-serdes-serdes, nonstrict-retrace-retrace).\n"
        "\n"
        "Judged at: serdes repeated, retrace repeated.\n"
        "docs/contract.md in the project's repository explains the levels.\n"
    )


@pytest.mark.parametrize("name", [*JUDGED, "stage", *(row.id for row in KNOWN)])
def test_every_check_and_every_defect_is_explained(name):
    lines = list(explain.explained(name))
    assert lines[0]
    assert len(lines) > 1
    printed = "\n".join(lines).rstrip("\n")
    report = next((explain.report_of(row.issue) for row in KNOWN if row.id == name), None) or ""
    assert [line for line in printed.removesuffix(report.rstrip("\n")).splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("row", [row for row in KNOWN if "://" not in row.issue], ids=lambda row: row.id)
def test_every_report_of_the_project_is_found(row):
    assert explain.report_of(row.issue) == (ROOT / row.issue).read_text()


def test_an_unknown_name_is_refused_with_the_nearest(capsys):
    assert main(["explain", "serdes-str-outptu"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(
        "exportcheck: no known defect or check is called 'serdes-str-outptu'; did you mean 'serdes-str-output'"
    )
    assert error.endswith(
        "? Checks: outputs, effects, aliasing, gradients, state, constants, constraints, signature, nodes, metadata, val, "
        "call_spec, module_calls, examples, verifiers, defaults, rejects, stability, sizes, stage, agree, golden. The ids of known "
        "defects are in the summary of a run and in docs/verdicts.md in the project's repository.\n"
    )


def test_a_name_that_is_near_to_none_is_refused(capsys):
    assert main(["explain", "zzzzzzzz"]) == 2
    assert capsys.readouterr().err.startswith(
        "exportcheck: no known defect or check is called 'zzzzzzzz'. Checks: outputs, "
    )


def test_nothing_that_explain_imports_imports_torch():
    code = "import sys; from pytest_exportcheck.cli import main; main(['explain', 'val']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
