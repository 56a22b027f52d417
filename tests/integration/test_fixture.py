"""The fixture ``exportcheck``: a model checked inside any test."""

from __future__ import annotations

import pytest

TEST = """
import torch
from pytest_exportcheck import expect_failure, rejection

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.total = torch.zeros(2)

    def forward(self, x):
        self.total = self.total + {what}
        return x + self.total

def test_net(exportcheck):
    net = Net()
    {before}
    outcomes = exportcheck({arguments})
    {after}
"""


@pytest.fixture
def run(whole_torch, pytester, echo):
    def run(arguments="net, (torch.ones(2),), engines=['echo']", what="0", before="", after="", options=()):
        pytester.makepyfile(TEST.format(arguments=arguments, what=what, before=before, after=after))
        return pytester.runpytest("-p", "no:cacheprovider", *options)

    return run


def test_a_sound_model_passes_without_the_option(run):
    after = "assert [str(each.mode) for each in outcomes][:2] == ['nonstrict', 'nonstrict-decompose']; assert len(outcomes) == 10"
    run(after=after).assert_outcomes(passed=1)


def test_it_works_beside_the_option(run, pytester, linear):
    pytester.makepyfile(case_linear=linear)
    run(options=("--exportcheck", "--exportcheck-engines=echo")).assert_outcomes(passed=11)


def test_all_findings_are_in_one_error(run):
    result = run("net, (torch.ones(2),), engines=['torch'], modes=['nonstrict', 'nonstrict-serdes']", what="x")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E   *AssertionError: 1 of 2 modes failed",
            "E   *Net[[]torch-nonstrict[]]",
            "E   *nonstrict broke *",
            "E   *effects: state total: attribute mutation lost *",
            'E   *Reproduce with: pytest "*::test_net"',
        ]
    )


def test_the_module_stays_as_it_is(run):
    run(
        what="x",
        arguments="net, (torch.ones(2),), engines=['echo']",
        after="assert net.total.tolist() == [0, 0]; assert net.training",
    ).assert_outcomes(passed=1)


def test_the_module_stays_as_it_is_where_another_mode_is_asked_for(run):
    run(
        arguments="net, (torch.ones(2),), engines=['echo'], train=False",
        before="net.part = torch.nn.Dropout().eval()",
        after="assert net.training; assert not net.part.training",
    ).assert_outcomes(passed=1)


def test_a_class_of_any_name_is_a_case(run):
    result = run("net, (torch.ones(2),), engines=['echo']", before="Net.__name__ = 'Net[int]'", what="x")
    result.assert_outcomes(passed=1)


def test_what_must_be_refused_runs_where_only_modes_behind_it_are_asked_for(run):
    rejects = "rejects=[rejection('capture')]"
    result = run(f"net, (torch.ones(2),), engines=['torch'], modes=['nonstrict-serdes'], {rejects}")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E   *AssertionError: 1 of 1 modes failed", "E   *Net[[]torch-nonstrict[]]"])


def test_modes_and_rejections_are_as_in_the_decorator(run):
    run(
        "net, (torch.ones(2),), engines=['torch'], modes=['nonstrict'], "
        "rejects=[rejection('call', kind='guard', args=(torch.ones(3),))]"
    ).assert_outcomes(passed=1)
    run(
        "net, (torch.ones(2),), engines=['torch'], modes=['nonstrict'], what='x', "
        "expect=[expect_failure('nonstrict', reason='r')]".replace("what='x', ", ""),
        what="x",
    ).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "Net, (torch.ones(2),)",
            "*DeclarationError: exportcheck takes an nn.Module and its example inputs, got <class *",
        ),
        ("net, (torch.ones(2),), modes=['strct']", "*SelectionError: unknown mode 'strct'; did you mean 'strict'[?]*"),
        (
            "net, (torch.ones(2),), engines=['torhc']",
            "*SelectionError: unknown engine 'torhc'. Engines: torch, reference, echo.",
        ),
        (
            "net, (torch.ones(2),), modes='strict'",
            "*DeclarationError: *test_*.py:16: modes takes a sequence of names *",
        ),
        ("net, (torch.ones(2),), engines='echo'", "*DeclarationError: *test_*.py:16: engines takes a sequence of *"),
        (
            "net, (torch.ones(2),), seed='x'",
            "*DeclarationError: *test_*.py:16: seed takes an integer from 0 to 4294967295, got 'x'.",
        ),
        (
            "net, (torch.ones(2),), expect=[expect_failure(check='x', reason='r')]",
            "*DeclarationError: *test_*.py:16: unknown check 'x'. Checks: outputs, *",
        ),
        ("net, torch.ones(2), engines=['echo']", "E   *args must be a tuple of positional arguments, got Tensor*"),
    ],
)
def test_wrong_arguments_are_told(run, arguments, message):
    result = run(arguments)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([message])
    assert "fixture.py" not in str(result.stdout)  # whose frames say nothing to who called it
