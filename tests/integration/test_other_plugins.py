"""Beside plugins that stop, split, shuffle or isolate items: no harm, and a right summary."""

from __future__ import annotations

import os

import pytest

MODES = "--exportcheck-modes=nonstrict,nonstrict-decompose,nonstrict-decompose-serdes,strict"

CASES = """
import torch
from pytest_exportcheck import export_case

ARGS = dict(args=lambda: (torch.randn(2),))

@export_case(**ARGS)
class Bad(torch.nn.Identity):
    pass

@export_case(**ARGS)
class Good(torch.nn.Identity):
    pass

@export_case(**ARGS)
class Other(torch.nn.Identity):
    pass
"""

HANGS = """
def decompose(self, program, decomp_table=None):
    if type(program.module()).__name__ == "Bad":
        import time
        time.sleep(60)
    return program
"""

ROWS = ["  Bad    . ! b      .", "  Good   . . .      .", "  Other  . . .      ."]
COUNTS = "exportcheck: 3 cases, 12 items: 10 passed, 1 blocked, 1 interrupted"


@pytest.fixture
def run_bad(pytester, run_faulty):
    """Runs three cases, of which one meets the given method of the engine, in a process of its own."""
    pytester.makepyfile(case_bad=CASES)

    def run(methods, *arguments, conftest=""):
        run_faulty(methods, "--collect-only", "-q")  # writes the conftest
        path = pytester.path / "conftest.py"
        path.write_text(path.read_text() + conftest)
        options = (
            "--exportcheck",
            "--exportcheck-engines=echo",
            MODES,
            "-p",
            "no:cacheprovider",
            "-p",
            "no:faulthandler",
        )
        return pytester.runpytest_subprocess(*options, "-p", "no:randomly", *arguments)

    return run


def test_timeout_by_signal_is_met_once(run_bad):
    pytest.importorskip("pytest_timeout", reason="pytest-timeout is not installed")
    result = run_bad(HANGS, "--timeout=2", "--timeout-method=signal", "-rs")
    result.assert_outcomes(passed=10, failed=1, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "*Failed: Timeout (>2.0s) from pytest-timeout.",
            *ROWS,
            COUNTS,
            "SKIPPED [[]1] *: blocked: echo-nonstrict-decompose of Bad was interrupted in this run "
            "(Timeout (>2.0s) from pytest-timeout)",
        ]
    )


def test_timeout_by_thread_costs_a_worker_once(run_bad):
    pytest.importorskip("pytest_timeout", reason="pytest-timeout is not installed")
    pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    result = run_bad(HANGS, "--timeout=2", "--timeout-method=thread", "-n", "1", "-rs")
    result.assert_outcomes(passed=10, failed=1, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "worker 'gw0' crashed while running 'case_bad.py::Bad[[]echo-nonstrict-decompose]'",
            *ROWS,
            COUNTS,
            "SKIPPED [[]1] *: blocked: echo-nonstrict-decompose of Bad ended worker gw0 (crashed) in this run",
        ]
    )
    assert result.stdout.str().count("replacing crashed worker") == 1


CRASHES = """
def decompose(self, program, decomp_table=None):
    if type(program.module()).__name__ == "Bad":
        import os
        os._exit(3)
    return program
"""

#: What pytest-forked does, which does not work with pytest 9.2 itself.
FORKING = '''
import os, pickle
from _pytest.runner import runtestprotocol

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    """A child for every item."""
    hook, config = item.config.hook, item.config
    hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    read, write = os.pipe()
    child = os.fork()
    if not child:
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        simple = [hook.pytest_report_to_serializable(config=config, report=each) for each in reports]
        with open(write, "wb") as file:
            pickle.dump(simple, file)
        os._exit(0)
    os.close(write)
    with open(read, "rb") as file:
        sent = file.read()
    os.waitpid(child, 0)
    if sent:
        reports = [hook.pytest_report_from_serializable(config=config, data=each) for each in pickle.loads(sent)]
    else:
        reports = [pytest.TestReport(item.nodeid, item.location, {}, "failed", "the child is gone", "???")]
    for report in reports:
        hook.pytest_runtest_logreport(report=report)
    return True
'''


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_child_for_every_item_changes_no_outcome(run_bad):
    result = run_bad(CRASHES, "-rs", conftest=FORKING)
    result.assert_outcomes(passed=10, failed=1, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "the child is gone",
            "It was running echo-nonstrict-decompose of Bad. Modes that depend on it are blocked in this run.",
            *ROWS,
            COUNTS,
            "SKIPPED [[]1] *: blocked: echo-nonstrict-decompose of Bad ended its process (crashed) in this run",
        ]
    )


def ran(pytester, *arguments):
    """The ids of the items that ran, in order; all of them passed."""
    options = ("--exportcheck", "--exportcheck-engines=echo", MODES, "-p", "no:cacheprovider")
    reports = pytester.inline_run(*options, *arguments).getreports("pytest_runtest_logreport")
    assert {report.outcome for report in reports} == {"passed"}
    return [report.nodeid.partition("::")[2] for report in reports if report.when == "call"]


def test_groups_of_pytest_split_are_all_items_once(echo):
    pytest.importorskip("pytest_split", reason="pytest-split is not installed")
    echo.makepyfile(case_bad=CASES)
    groups = [ran(echo, "-p", "no:randomly", "--splits=3", f"--group={number}") for number in (1, 2, 3)]
    assert [item for group in groups for item in group] == ran(echo, "-p", "no:randomly")
    assert [len(group) for group in groups] == [4, 4, 4]


def test_pytest_randomly_shuffles_cases_and_keeps_their_items_together(echo):
    pytest.importorskip("pytest_randomly", reason="pytest-randomly is not installed")
    echo.makepyfile(case_bad=CASES)
    orders = [ran(echo, "-p", "randomly", f"--randomly-seed={seed}") for seed in range(8)]
    assert len({tuple(order) for order in orders}) > 1
    items = ran(echo, "-p", "no:randomly")
    plan = {name: [item for item in items if item.startswith(f"{name}[")] for name in ("Bad", "Good", "Other")}
    for order in orders:
        cases = dict.fromkeys(item.partition("[")[0] for item in order)
        assert order == [item for name in cases for item in plan[name]]
