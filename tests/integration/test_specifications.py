"""Dynamic shapes by specification as a user sees them: what is drawn, what must be refused, and which faults a case has."""

from __future__ import annotations

import pytest
import torch

from pytest_exportcheck.harness._torch import takes_specifications

taken = pytest.mark.skipif(not takes_specifications(), reason="torch.export takes specifications since torch 2.14")

IMPORTS = """
import torch
from torch.fx.experimental.dynamic_spec import IntVar, ParamsSpec, ShapesSpec, ShapeVar, TensorSpec
from pytest_exportcheck import export_case

B = ShapeVar("batch", min=2, max=12)
EVEN = ShapesSpec(ParamsSpec({"x": TensorSpec([B, 3]), "y": TensorSpec([2 * B, 3])}), assumptions=[B % 2 == 0])
"""
PAIR = (
    IMPORTS
    + """
@export_case(args=lambda: (torch.randn(4, 3), torch.randn(8, 3)), dynamic_shapes=EVEN)
class Pair(torch.nn.Module):
    def forward(self, x, y):
        return x.repeat(2, 1) + y
"""
)
DECORATED = (
    IMPORTS
    + """
from torch.fx.experimental.dynamic_spec import dynamic_spec

@export_case(args=lambda: (torch.randn(4, 3),), init={})
class Decorated(torch.nn.Module):
    @dynamic_spec({"x": TensorSpec([B, None])})
    def forward(self, x):
        return x * 2
"""
)
VARIADIC = (
    IMPORTS
    + """
SHAPES = ParamsSpec({"*args": [TensorSpec([B, 3]), TensorSpec([B, 3])], "**kwargs": {"z": TensorSpec([B, 3])}})

@export_case(args=lambda: (torch.ones(4, 3), torch.ones(4, 3)), kwargs=lambda: {"z": torch.ones(4, 3)}, dynamic_shapes=SHAPES)
class Variadic(torch.nn.Module):
    def forward(self, *args, **kwargs):
        return args[0] + args[1] + kwargs["z"]
"""
)
BOTH = DECORATED.replace("init={}", "dynamic_shapes=EVEN")

#: A program that computes something else where the first size is odd.
ODD = """
def export(self, module, args, kwargs=None, **_):
    class Odd(torch.nn.Module):
        def forward(self, x, y):
            return module(x, y) + x.shape[0] % 2
    return Program(Odd())
"""


@pytest.fixture(scope="module", autouse=True)
def _whole_torch():
    """Load the modules of torch that an export loads: pytester forgets those that a run loads, and torch loads them once."""
    torch.export.export(torch.nn.Identity(), (torch.ones(1),)).run_decompositions()


@pytest.fixture
def run(pytester):
    def run(cases, *arguments):
        pytester.makepyfile(case_one=cases)
        return pytester.runpytest("--exportcheck", "-p", "no:cacheprovider", *arguments)

    return run


@taken
def test_both_engines_do_at_specified_sizes_what_eager_does(run):
    result = run(PAIR, "--exportcheck-modes=nonstrict,nonstrict-retrace", "--exportcheck-fuzz=5")
    result.assert_outcomes(passed=9)  # the comparison of the two engines is an item


@taken
def test_a_program_that_accepts_what_breaks_an_assumption_fails(pytester, run_faulty):
    pytester.makepyfile(case_one=PAIR)
    result = run_faulty(ODD, "--exportcheck-fuzz=10", "--exportcheck-modes=nonstrict", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "  sizes: Eq(Mod(batch, 2), 0): accepted and computed otherwise  (on args[[]0].size(0)=5, args[[]1].size(0)=10)",
            "    expected: refused: declared are batch 2..12",
            "    got:      accepted",
        ]
    )


@taken
def test_a_specification_on_forward_is_judged_and_fuzzed(run):
    modes = "--exportcheck-modes=nonstrict,nonstrict_postdispatch,nonstrict-retrace"
    result = run(DECORATED, modes, "--exportcheck-engines=torch", "--exportcheck-fuzz=5")
    result.assert_outcomes(passed=6)


@taken
def test_a_retrace_specifies_arguments_that_have_other_names(run):
    modes = "--exportcheck-modes=nonstrict-retrace,nonstrict-unflatten-retrace"
    run(VARIADIC, modes, "--exportcheck-engines=torch").assert_outcomes(passed=2)


@taken
@pytest.mark.parametrize(
    ("cases", "message"),
    [
        (BOTH, "forward has a @dynamic_spec, and the case gives dynamic_shapes too. Leave one out."),
        (
            PAIR.replace('"y": T', '"z": T'),
            "dynamic_shapes does not fit the inputs: ParamsSpec has entries ['z'] that do not match any argument passed to "
            "export(). Spec keys must be forward parameter names that were actually passed. Inputs received: ['x', 'y'].",
        ),
        (
            PAIR.replace("randn(4, 3)", "randn(5, 3)").replace("randn(8, 3)", "randn(10, 3)"),
            "the example inputs break the assumption Eq(Mod(batch, 2), 0) of dynamic_shapes (batch=5); draw other sizes, or "
            "drop the assumption.",
        ),
    ],
)
def test_a_case_whose_specification_does_not_fit_is_at_fault(run, cases, message):
    result = run(cases, "--exportcheck-modes=nonstrict", "--exportcheck-engines=torch")
    assert message in " ".join(result.stdout.str().split())


@pytest.mark.skipif(takes_specifications(), reason="this torch takes specifications")
def test_an_older_torch_says_what_to_use(run):
    result = run(PAIR, "--exportcheck-modes=nonstrict", "--exportcheck-engines=torch")
    message = (
        "dynamic_shapes is a ShapesSpec, which torch.export takes since torch 2.14, and this is torch "
        f"{torch.__version__}. Declare the dims with torch.export.Dim, or upgrade torch."
    )
    assert message in " ".join(result.stdout.str().split())
