"""Negative cases: what must be refused, where, and why; at a capture, at an edge, or at the call."""

from __future__ import annotations

import pytest

REFUSING = """
def export(self, module, args, kwargs=None, *, dynamic_shapes=None, strict=False, pre_dispatch=True):
    raise RuntimeError("Could not guard on data-dependent expression u0 > 0")
"""
REFUSING_EDGE = """
def decompose(self, program, decomp_table=None):
    raise NotImplementedError("no table")
"""
GUARDED = """
def export(self, module, args, kwargs=None, *, dynamic_shapes=None, strict=False, pre_dispatch=True):
    class Guarded(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = copy.deepcopy(module)
        def forward(self, x):
            if len(x) > 3:
                raise AssertionError("Guard failed: x.size()[0] <= 3")
            return self.inner(x)
    guarded = Guarded()
    return type("P", (), {"module": lambda self: guarded})()
"""
CASE = """
import torch
from pytest_exportcheck import export_case, rejection

@export_case(args=lambda: (torch.randn(2),), rejects=[rejection({arguments})])
class Net(torch.nn.Identity):
    pass
"""
CAPTURES = ("-k", "nonstrict-decompose or echo-nonstrict]")


@pytest.fixture
def run(pytester, run_faulty):
    def run(arguments, methods, *options):
        pytester.makepyfile(case_net=CASE.format(arguments=arguments))
        return run_faulty(methods, *options)

    return run


def test_a_case_that_is_refused_as_it_says_passes_and_nothing_lies_behind_it(run):
    run("'capture', kind='data_dependent', error='u0 > 0'", REFUSING).assert_outcomes(passed=3)


def test_a_case_that_is_accepted_fails(run):
    result = run("'capture', kind='data_dependent'", "pass", "--exportcheck-modes=nonstrict")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "nonstrict broke rejects",
            "",
            "  rejects: nonstrict: accepted",
            "    expected: an error of kind 'data_dependent'",
            "    got:      no error",
            "    The rejection is declared at *case_net.py:4.",
        ]
    )


@pytest.mark.parametrize("arguments", ["'capture', kind='constraint'", "'capture', error='u1'"])
def test_a_case_that_is_refused_for_another_reason_fails(run, arguments):
    result = run(arguments, REFUSING, "--exportcheck-modes=nonstrict")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "  rejects: nonstrict: refused otherwise",
            "    expected: an error *",
            "    got:      RuntimeError: Could not guard on data-dependent expression u0 > 0",
        ]
    )


def test_what_is_behind_an_edge_that_must_refuse_is_left_out(run):
    run("'decompose', error='no table'", REFUSING_EDGE).assert_outcomes(passed=9)


def test_a_call_is_refused_in_every_mode(run):
    result = run(
        "'call', kind='guard', args=lambda: (torch.randn(5),)", GUARDED, "--exportcheck-modes=nonstrict,*serdes"
    )
    result.assert_outcomes(passed=17)


def test_a_call_that_is_accepted_fails(run):
    result = run("'call', kind='guard', args=lambda: (torch.randn(3),)", GUARDED, "--exportcheck-modes=nonstrict")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  rejects: call: accepted", "    expected: an error of kind 'guard'"])


def test_a_model_that_eager_refuses_too_may_be_refused_at_capture(pytester, run_faulty):
    pytester.makepyfile(
        case_net="""
        import torch
        from pytest_exportcheck import export_case, rejection

        @export_case(args=(torch.ones(2),), rejects=[rejection("capture")])
        class Net(torch.nn.Module):
            def forward(self, x):
                raise ValueError("never")
        """
    )
    run_faulty(REFUSING).assert_outcomes(passed=3)
    run_faulty("pass").assert_outcomes(failed=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "'capture', kind='shape'",
            "*case_net.py:4: the kind of a rejection is one of *, unsupported or '[*]', got 'shape'.",
        ),
        ("'capture', error='('", "*case_net.py:4: error='(' is not a valid regular expression: *"),
        (
            "'call'",
            "*case_net.py:4: rejection('call') needs the inputs that the program must refuse: args= or kwargs=. *",
        ),
        ("'capture', args=()", "*case_net.py:4: rejection('call') needs the inputs that the program must refuse*"),
        (
            "'save'",
            "*case_net.py:4: the stage of a rejection must be one of capture, decompose, serdes, retrace, interop, unflatten, call, "
            "got 'save'.",
        ),
        ("'call', args=[1]", "case 'Net' (*case_net.py:4): args must be a tuple of positional arguments, got list. *"),
    ],
)
def test_what_is_declared_wrongly_is_said(run, arguments, message):
    run(arguments, "pass").stdout.fnmatch_lines([message])
