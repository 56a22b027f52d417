"""Engines that return nonsense, and models that print, exit or change the process: the run goes on and says what happened."""

from __future__ import annotations

import pytest

CASE = """
import random, sys
import torch
from pytest_exportcheck import export_case

@export_case(args=(torch.ones(2),))
class Net(torch.nn.Module):
    def forward(self, x):
        {body}
        return x
"""


@pytest.fixture
def run(pytester, run_faulty, linear):
    def run(body="pass", methods="pass", *options):
        pytester.makepyfile(case_linear=linear, case_net=CASE.format(body=body))
        return run_faulty(methods, "--exportcheck-modes=nonstrict", "-p", "no:cacheprovider", *options)

    return run


@pytest.mark.parametrize(
    ("returned", "got"),
    [
        ("None", "AttributeError: 'NoneType' object has no attribute 'module'"),
        ("5", "AttributeError: 'int' object has no attribute 'module'"),
        ("type('P', (), {'module': lambda self: None})()", "*TypeError: 'NoneType' object is not callable*"),
        ("type('P', (), {'module': lambda self: (lambda *args: 'text')})()", "*'text'*"),
        ("type('P', (), {'module': lambda self: 1 / 0})()", "ZeroDivisionError: division by zero*"),
    ],
)
def test_an_engine_that_returns_nonsense(run, returned, got):
    export = "def export(self, module, args, kwargs=None, **_):\n    "
    nonsense = (
        f"if type(module).__name__ == 'Net':\n        return {returned}\n    return Program(copy.deepcopy(module))"
    )
    result = run("pass", export + nonsense)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines([f"    got:      {got}"])


def test_an_engine_that_loads_nonsense(pytester, run_faulty, linear):
    pytester.makepyfile(case_linear=linear)
    result = run_faulty(
        "def load(self, file, *, extra_files=None):\n    return 5", "--exportcheck-modes=nonstrict-serdes"
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["    expected: a program that can be called", "    got:      AttributeError: 'int' object *"]
    )


def test_a_model_that_prints_harms_nothing(run):
    result = run("print('hello'); print('there', file=sys.stderr)")
    result.assert_outcomes(passed=2)
    assert "hello" not in str(result.stdout)


@pytest.mark.parametrize("body", ["sys.stdout.close(); sys.stderr.close()", "sys.stdout = sys.stderr = None"])
def test_a_model_that_closes_its_output_harms_nothing(run, body):
    run(body).assert_outcomes(passed=2)


@pytest.mark.parametrize("body", ["sys.exit(3)", "raise SystemExit"])
def test_a_model_that_exits_is_a_case_that_cannot_be_set_up(run, body):
    result = run(body)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*the module itself raises on its example inputs*SystemExit*"])


@pytest.mark.parametrize(
    "body",
    [
        "torch.set_grad_enabled(False)",
        "torch.set_default_dtype(torch.float64)",
        "torch.set_num_threads(1)",
        "torch.manual_seed(5)",
        "random.seed(5)",
        "torch.use_deterministic_algorithms(True)",
    ],
)
def test_a_model_that_changes_the_process_does_so_for_itself_alone(pytester, run, body):
    """What it leaves behind is put back before the next item, and before the tests of the repo."""
    pytester.makepyfile(
        test_zz="""
        import torch

        def test_global_modes():
            assert torch.is_grad_enabled() and torch.get_default_dtype() is torch.float32
            assert not torch.are_deterministic_algorithms_enabled()
        """
    )
    outcomes = run(body).parseoutcomes()
    assert outcomes["passed"] >= 2
    assert outcomes.get("failed", 0) <= 1


def test_a_model_that_hangs_costs_its_own_items(run):
    pytest.importorskip("pytest_timeout", reason="pytest-timeout is not installed")
    result = run("import time; time.sleep(60)", "pass", "--timeout=2", "-o", "timeout_func_only=false")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*Timeout*", "  Net     !"])
