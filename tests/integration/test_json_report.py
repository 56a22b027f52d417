"""``--exportcheck-json``: what is in the file, whatever becomes of the run."""

from __future__ import annotations

import platform
import re
import sysconfig
from dataclasses import replace
from datetime import datetime, timezone

import pytest
import torch

from pytest_exportcheck import __version__
from pytest_exportcheck.cli import main
from pytest_exportcheck.records import RunSettings
from pytest_exportcheck.reports.json_report import read_report
from pytest_exportcheck.reports.wording import kind_of

TWO = """
import torch
from pytest_exportcheck.reports.wording import kind_of
from pytest_exportcheck import export_case

@export_case(args=lambda: (torch.randn(2, 3),))
class First(torch.nn.Linear):
    def __init__(self):
        super().__init__(3, 3)

@export_case(args=lambda: (torch.randn(2, 3),))
class Second(First):
    pass
"""
NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
RAISING = "def decompose(self, program, decomp_table=None):\n    raise ValueError('no \\udc80')"
UNSUPPORTED = RAISING.replace("raise ValueError", "from pytest_exportcheck import Unsupported\n    raise Unsupported")
MODES = "--exportcheck-modes=nonstrict,nonstrict-decompose,nonstrict-decompose-serdes"


def told(pytester, name="report.json"):
    return read_report(pytester.path / name)


def statuses(report):
    return {f"{item.case} {item.mode}": item.status for item in report.items}


def without_times(report):
    """What two runs of the same thing agree on."""
    clean = replace
    runs = tuple(clean(run, started=NOON, seconds=0.0) for run in report.runs)
    items = tuple(
        clean(item, duration=0.0, worker="", seconds=dict.fromkeys(item.seconds, 0.0)) for item in report.items
    )
    return clean(report, runs=runs, items=items)


def without_threads(report):
    """Commands without the number of threads, which workers share and the command of one process does not name."""
    items = (
        replace(item, reproduce=re.sub(" --exportcheck-threads=[0-9]+", "", item.reproduce)) for item in report.items
    )
    return replace(report, items=tuple(items))


def test_the_report_has_settings_items_and_counts(echo, run_echo, linear):
    echo.makepyfile(case_linear=linear)
    result = run_echo("--exportcheck-json=out/report.json", "--exportcheck-seed=7", "--exportcheck-threads=1")
    result.stdout.fnmatch_lines(
        ["exportcheck: 1 case, 10 items: 10 passed", "exportcheck: report written to out/report.json"]
    )
    report = told(echo, "out/report.json")
    (run,) = report.runs
    assert run.settings == RunSettings(
        exportcheck=__version__,
        torch=torch.__version__,
        python=platform.python_version(),
        platform=sysconfig.get_platform(),
        profile="ship",
        seed=7,
        threads=1,
    )
    assert (run.engines, run.modes[0], run.exit_status, run.selected, run.not_run) == (
        ("echo",),
        "nonstrict",
        0,
        10,
        (),
    )
    assert (report.complete, report.failed, report.counts, report.errors) == (True, False, {"passed": 10}, ())
    item = report.items[0]
    assert (item.path, item.case, item.file, item.line) == ("case_linear.py", "Linear", "case_linear.py", 4)
    assert run.seconds > item.duration > 0


def test_a_failure_has_its_findings_and_a_blocked_item_its_reason(pytester, run_faulty, linear):
    pytester.makepyfile(case_linear=linear)
    run_faulty(RAISING, MODES, "--exportcheck-json=report.json")
    passed, failed, blocked = sorted(told(pytester).items, key=lambda item: len(item.mode))
    assert passed.status == "passed"
    assert (blocked.status, blocked.reason) == ("blocked", "blocked by nonstrict-decompose")
    (finding,) = failed.findings
    assert (finding.check, kind_of(finding), finding.verdict) == ("stage", "raised", "broken")
    assert finding.actual.startswith("ValueError: no \\udc80")


def test_two_runs_differ_in_times_only(pytester, run_faulty):
    pytester.makepyfile(case_two=TWO)
    run_faulty(RAISING, MODES, "--exportcheck-json=one.json")
    run_faulty(RAISING, MODES, "--exportcheck-json=other.json")
    assert without_times(told(pytester, "one.json")) == without_times(told(pytester, "other.json"))


def test_text_that_no_encoding_can_carry_crosses_to_the_reporting_process(pytester, run_faulty, linear):
    pytester.makepyfile(case_linear=linear)
    result = run_faulty(UNSUPPORTED, MODES, "-n1", "-rs")
    result.assert_outcomes(passed=1, skipped=2)


def test_workers_of_xdist_make_the_same_report(pytester, run_faulty):
    pytester.makepyfile(case_two=TWO)
    run_faulty(RAISING, MODES, "--exportcheck-json=alone.json")
    run_faulty(RAISING, MODES, "--exportcheck-json=workers.json", "-n1")
    report = told(pytester, "workers.json")
    assert without_threads(without_times(report)) == without_times(told(pytester, "alone.json"))
    assert {item.worker for item in report.items} == {"gw0"}


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "xdist"])
def test_a_run_that_stops_early_says_what_did_not_run(pytester, run_faulty, workers):
    pytester.makepyfile(case_two=TWO)
    run_faulty(RAISING, MODES, "--exportcheck-json=report.json", "-x", *workers)
    report = told(pytester)
    (run,) = report.runs
    assert (report.complete, run.selected, run.stopped) == (False, 6, "stopping after 1 failures")
    assert len(run.not_run) == 6 - len(report.items)
    assert "case_two.py::Second[echo-nonstrict-decompose-serdes]" in run.not_run


@pytest.fixture
def process(pytester, run_faulty):
    """Runs a faulty engine in a process of its own, which may die."""

    def run(methods, *arguments):
        run_faulty(methods, "--collect-only")  # writes the conftest
        return pytester.runpytest_subprocess("--exportcheck", "--exportcheck-engines=echo", MODES, *arguments)

    return run


def test_ctrl_c_leaves_what_there_is(pytester, process):
    pytester.makepyfile(case_two=TWO)
    interrupts = "def decompose(self, program, decomp_table=None):\n    raise KeyboardInterrupt"
    process(interrupts, "--exportcheck-json=report.json")
    report = told(pytester)
    assert (report.complete, report.runs[0].stopped, report.runs[0].exit_status) == (False, "KeyboardInterrupt", 2)
    assert statuses(report) == {"First nonstrict": "passed"}
    assert len(report.runs[0].not_run) == 5


def test_a_timeout_is_an_item_that_was_interrupted(pytester, run_faulty, linear):
    pytester.makepyfile(case_linear=linear)
    slow = "def decompose(self, program, decomp_table=None):\n    import time\n    time.sleep(30)"
    run_faulty(slow, MODES, "--exportcheck-json=report.json", "--timeout=1", "-x")
    report = told(pytester)
    assert statuses(report) == {"Linear nonstrict": "passed", "Linear nonstrict-decompose": "interrupted"}
    (interrupted,) = (item for item in report.items if item.status == "interrupted")
    assert interrupted.reason == "Failed: Timeout (>1.0s) from pytest-timeout."
    assert (report.complete, report.failed) == (False, True)


def test_only_to_collect_writes_no_report(echo, run_echo, linear):
    echo.makepyfile(case_linear=linear)
    run_echo("--exportcheck-json=report.json", "--collect-only")
    assert not (echo.path / "report.json").exists()


DIES = "def decompose(self, program, decomp_table=None):\n    import os\n    os._exit(3)"


def test_a_process_that_dies_leaves_an_honest_file(pytester, process):
    pytester.makepyfile(case_two=TWO)
    (pytester.path / "report.json").write_text("of an earlier run")
    process(DIES, "--exportcheck-json=report.json")
    report = told(pytester)
    (run,) = report.runs
    assert (report.complete, run.exit_status, run.selected, len(run.not_run)) == (False, None, 6, 6)


def test_an_item_that_kills_its_worker_is_told_as_interrupted(pytester, process, linear):
    pytester.makepyfile(case_linear=linear)
    process(DIES, "--exportcheck-json=report.json", "-n1", "-k", "not serdes")
    report = told(pytester)
    assert statuses(report) == {"Linear nonstrict": "passed", "Linear nonstrict-decompose": "interrupted"}
    crashed = report.items[0]
    assert crashed.reason == (
        "worker 'gw0' crashed while running 'case_linear.py::Linear[echo-nonstrict-decompose]'\n"
        "It was running echo-nonstrict-decompose of Linear. Modes that depend on it are blocked in this run."
    )
    assert (crashed.file, crashed.line) == ("case_linear.py", 4)
    assert (report.complete, report.failed) == (True, True)


def test_what_cannot_be_collected_is_in_the_report(echo, run_echo, linear):
    echo.makepyfile(case_linear=linear, case_broken="raise RuntimeError('no')")
    run_echo("--exportcheck-json=report.json", "--exportcheck-modes=nonstrict")
    report = told(echo)
    assert [error.nodeid for error in report.errors] == ["case_broken.py::import"]
    assert report.errors[0].reason.startswith("case file case_broken.py could not be imported. The other files run.\n")
    assert (statuses(report), report.failed) == ({"Linear nonstrict": "passed"}, True)


SKIPPING = """
def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.skip("too slow here"))
"""
NO_SERVER = """
def pytest_runtest_setup(item):
    raise RuntimeError("no server")
"""
NO_END = """
def pytest_runtest_teardown(item):
    raise RuntimeError("the server is gone")
"""


@pytest.mark.parametrize(
    ("hook", "status", "reason", "errors"),
    [
        (SKIPPING, "skipped", "Skipped: too slow here", []),
        (NO_SERVER, "interrupted", "RuntimeError: no server", []),
        (NO_END, "passed", "", ["teardown: RuntimeError: the server is gone"]),
    ],
    ids=["marked skip", "setup raises", "teardown raises"],
)
def test_what_others_do_to_an_item_is_in_the_report(echo, run_echo, linear, hook, status, reason, errors):
    echo.makepyfile(case_linear=linear)
    conftest = echo.path / "conftest.py"
    conftest.write_text(conftest.read_text() + hook)
    run_echo("--exportcheck-json=report.json", "--exportcheck-modes=strict")
    report = told(echo)
    (item,) = report.items
    assert (item.status, item.reason) == (status, reason)
    assert [error.reason for error in report.errors] == errors
    assert report.complete


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "--exportcheck-json takes the path of a file to write, got an empty one."),
        (".", "--exportcheck-json: the report cannot be written to *: it is a folder. Name a file in it."),
        ("conftest.py/a.json", "--exportcheck-json: the report cannot be written to *a.json: *."),
    ],
)
def test_a_path_that_cannot_be_written_ends_the_session_at_its_start(echo, run_echo, linear, path, message):
    echo.makepyfile(case_linear=linear)
    result = run_echo(f"--exportcheck-json={path}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: exportcheck: {message}"])


IN_THE_WAY = """
def pytest_runtest_logfinish():
    import pathlib
    pathlib.Path("report.json").unlink(missing_ok=True)
    pathlib.Path("report.json").mkdir(exist_ok=True)
"""


def test_a_file_that_cannot_be_written_at_last_fails_the_session(echo, run_echo, linear):
    echo.makepyfile(case_linear=linear)
    conftest = echo.path / "conftest.py"
    conftest.write_text(conftest.read_text() + IN_THE_WAY)
    result = run_echo("--exportcheck-json=report.json", "--exportcheck-modes=nonstrict")
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    message = "exportcheck: the report cannot be written to *report.json: it is a folder. Name a file in it."
    result.stdout.fnmatch_lines([message])


def test_shards_merge_into_the_report_of_the_whole(pytester, run_faulty, capsys):
    pytester.makepyfile(case_two=TWO)
    run_faulty(RAISING, MODES, "--exportcheck-json=whole.json")
    run_faulty(RAISING, MODES, "--exportcheck-json=a.json", "-k", "First")
    run_faulty(RAISING, MODES, "--exportcheck-json=b.json", "-k", "Second")
    capsys.readouterr()
    assert main(["merge", "all.json", "b.json", "a.json"]) == 1
    joined, whole = told(pytester, "all.json"), without_times(told(pytester, "whole.json"))
    items = [replace(item, run=0) for item in without_times(joined).items]
    assert (tuple(items), joined.counts) == (whole.items, whole.counts)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "failed case_two.py::First[echo-nonstrict-decompose]: decompose raised ValueError"
    assert lines[-2:] == [
        "exportcheck: 2 cases, 6 items: 2 passed, 2 failed, 2 blocked",
        "exportcheck: 2 reports merged into all.json",
    ]
