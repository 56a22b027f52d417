"""The reference engine is the second opinion on torch: what fails with one only, or with both."""

from __future__ import annotations

import pytest

from tests.integration.engine_runs import check_all

pytestmark = pytest.mark.usefixtures("whole_torch")

OPINIONS = """
import torch
from pytest_exportcheck import export_case
from pytest_exportcheck.engines.reference import Reference

@export_case(args=lambda: (torch.randn(3),))
class Right(torch.nn.Module):
    def forward(self, x):
        return x.sin()

@export_case(args=lambda: (torch.randn(3),))
class SeedInside(torch.nn.Module):
    def forward(self, x):
        torch.manual_seed(42)
        return x + torch.rand(3)
"""

#: An exporter that breaks down, with no refusal of its own.
BREAKS_DOWN = """
from pytest_exportcheck import reference
def broken(*args, **kwargs):
    raise AttributeError("no such thing\\nat all")
reference.export = broken
"""


def test_the_reference_engine_is_the_second_opinion_on_a_short_set_of_modes(pytester):
    pytester.makepyfile(case_opinions=OPINIONS)
    modes = "--exportcheck-modes=nonstrict,nonstrict-decompose,nonstrict-retrace"
    result = check_all(pytester, modes)
    result.stdout.fnmatch_lines(
        [
            "*NotTraceable: the model seeds torch's generator*",
            "second opinion on SeedInside, which fails with torch: reference fails in",
            "  nonstrict",
            "engine        torch      reference  agree",
            "capture       nonstrict  nonstrict  n",
            "edges         - d r      - r        -",
            "case_opinions.py",
            "  SeedInside  F b b      F b        b",
            "  Right       . . .      . .        .",
            "exportcheck: 2 cases, 12 items: 6 passed, 2 failed, 4 blocked",
        ]
    )
    assert "which fails with reference" not in result.stdout.str()
    named = check_all(pytester, modes, "--exportcheck-engines=reference", "-k", "Right")
    named.stdout.fnmatch_lines(["  Right  . . ."])


@pytest.mark.usefixtures("wide")
def test_an_error_of_the_reference_engine_is_a_warning_for_who_ships(pytester):
    pytester.makepyfile(case_opinions=OPINIONS)
    pytester.makeconftest(BREAKS_DOWN)
    modes = "--exportcheck-modes=nonstrict,nonstrict-serdes"
    shipped = check_all(pytester, modes, "-k", "Right")
    shipped.assert_outcomes(passed=3, skipped=2, deselected=5)
    shipped.stdout.fnmatch_lines(
        [
            "engine error in reference: Right[[]reference-nonstrict[]]: AttributeError: no such thing",
            "  an engine error is not a fault of your model; please report it, with the case, to the authors of the code that it names",
            "  Right  . .        i b        b",
            "*i internal failure of an engine or the plugin (not of the model)*",
        ]
    )
    judged = check_all(pytester, modes, "--exportcheck-profile=conformance", "-k", "Right")
    judged.assert_outcomes(passed=2, failed=1, skipped=2, deselected=5)
    judged.stdout.fnmatch_lines(["  stage: nonstrict: raised  [[]engine_error[]]"])


#: A second opinion with a defect at each of its steps that raises nothing: a stack trace is dropped, a weight is changed in the file.
DIFFERS = """
import torch
from pytest_exportcheck import reference
export, load = reference.export, reference.load

def forgetful(*args, **kwargs):
    program = export(*args, **kwargs)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    return program

def wrong(*args, **kwargs):
    program = load(*args, **kwargs)
    for value in program.state_dict.values():
        value.data.add_(1e-3)
    return program

reference.export, reference.load = forgetful, wrong
"""

TWO = """
import torch
from pytest_exportcheck import export_case

@export_case(args=lambda: (torch.randn(2, 3),))
class Two(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)
    def forward(self, x):
        return self.second(self.first(x).relu())
"""


@pytest.mark.parametrize("engines", ["torch,reference", "reference"])
@pytest.mark.usefixtures("wide")
def test_differences_that_only_the_reference_engine_has_are_engine_errors(pytester, engines):
    pytester.makepyfile(case_two=TWO)
    pytester.makeconftest(DIFFERS)
    options = ("--exportcheck-modes=nonstrict,nonstrict-serdes,nonstrict-interop", f"--exportcheck-engines={engines}")
    shipped = check_all(pytester, *options)
    shipped.stdout.fnmatch_lines(
        ["engine error in reference: Two[[]reference-nonstrict[]]: metadata: every operation: stack_trace missing*"]
    )
    shipped.stdout.fnmatch_lines(["engine error in reference: Two[[]*: state: first.weight: value (expected *, got *)"])
    shipped.stdout.fnmatch_lines(
        [
            "  an engine error is not a fault of your model; please report it, with the case, to the authors of the code that it names"
        ]
    )
    shipped.stdout.no_fnmatch_line("*second opinion on*")
    assert shipped.parseoutcomes().get("failed", 0) == 0
    if "torch" in engines:
        shipped.stdout.fnmatch_lines(
            ["engine error in reference: Two[[]torch-nonstrict-interop[]]*: state: first.weight: value*"]
        )
    judged = check_all(pytester, *options, "--exportcheck-profile=conformance")
    assert judged.parseoutcomes()["failed"] >= 2


CANNOT_READ = """
from pytest_exportcheck import reference
def broken(*args, **kwargs):
    raise AttributeError("no such thing")
reference.load = broken
"""


@pytest.mark.usefixtures("wide")
def test_a_file_of_torch_that_the_reference_engine_cannot_read_fails_nobody_who_ships(pytester):
    pytester.makepyfile(case_two=TWO)
    pytester.makeconftest(CANNOT_READ)
    shipped = check_all(pytester, "--exportcheck-modes=nonstrict-interop", "--exportcheck-engines=torch")
    shipped.assert_outcomes(passed=1)
    shipped.stdout.fnmatch_lines(
        ["engine error in reference: Two[[]torch-nonstrict-interop[]]: AttributeError: no such thing"]
    )


BAKED = """
import torch
from pytest_exportcheck import export_case

@export_case(args=lambda: (torch.randn(3),))
class Counts(torch.nn.Module):
    calls = 0
    def forward(self, x):
        Counts.calls += 1
        return x + Counts.calls
"""


@pytest.mark.parametrize("engines", ["torch,reference", "reference"])
def test_a_fault_of_the_model_fails_with_the_second_opinion_too(pytester, engines):
    """Both engines bake in a number that eager changes at every call."""
    pytester.makepyfile(case_baked=BAKED)
    result = check_all(pytester, "--exportcheck-modes=nonstrict", f"--exportcheck-engines={engines}")
    several = "torch" in engines
    result.assert_outcomes(failed=2 if several else 1, passed=1 if several else 0)  # the engines agree
