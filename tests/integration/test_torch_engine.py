"""The main job on the ``torch`` engine: real captures, real files, real torch defects."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.integration.engine_runs import check, check_all

pytestmark = pytest.mark.usefixtures("whole_torch")

README = Path(__file__).parents[2] / "README.md"


def example(file: str) -> str:
    """The Python block of the README that begins with the name of a file."""
    (text,) = re.findall(rf"```python\n(# {re.escape(file)}\n.*?)```", README.read_text(), re.DOTALL)
    return text


def test_the_example_of_the_readme_passes_in_every_default_mode(pytester):
    for file in ("shop.py", "case_shop.py"):
        (pytester.path / file).write_text(example(file))
    result = check_all(pytester)
    result.assert_outcomes(passed=20)
    result.stdout.fnmatch_lines(
        [
            "engine        torch                          reference          agree",
            "capture       nonstrict          np  strict  nonstrict  strict  n  s",
            "edges         - d ds s sr r i u  -   - s r   - s r i    - s     -  -",
            "case_shop.py",
            "  normalizer  . . .  . .  . . .  .   . . .   . . . .    . .     k  k",
            "",
            "signs: . passed, k known defect (not of the model),",
            "  column agree: programs of several engines compared",
            "edges: - none, d decompose, s serdes, r retrace, i interop, u unflatten",
            "captures: np nonstrict_postdispatch, n nonstrict, s strict",
            "exportcheck: 1 case, 20 items: 18 passed, 2 known",
        ]
    )


def test_the_broken_example_of_the_readme_fails_as_it_says(pytester):
    (pytester.path / "case_normalizer.py").write_text(example("case_normalizer.py"))
    result = check_all(pytester, "--exportcheck-modes=nonstrict")
    result.assert_outcomes(failed=2, skipped=1)  # the reference engine makes no program to compare
    result.stdout.fnmatch_lines(["second opinion on Normalizer, which fails with torch: reference fails in*"])
    shown = re.search(
        r"nonstrict broke outputs and effects\n.*?Reproduce with: [^\n]*\n", README.read_text(), re.DOTALL
    )
    assert shown is not None
    assert without_digits(shown.group()) in without_digits(result.stdout.str())


def test_modes_after_the_broken_captures_of_the_readme_are_skipped(pytester):
    (pytester.path / "case_normalizer.py").write_text(example("case_normalizer.py"))
    check_all(pytester).assert_outcomes(failed=5, skipped=15)


def without_digits(text: str) -> str:
    """The last digits depend on the processor."""
    return re.sub(r"-?\d+\.\d+", "#", text)


SILENT = """
import torch
from pytest_exportcheck import export_case

t = torch.arange(5.0)

@export_case(args=(t, t))
class SameTensorTwice(torch.nn.Module):
    def forward(self, x, y):
        return x - y

@export_case(args=lambda: (torch.randn(3),))
class GradientInside(torch.nn.Module):
    def forward(self, x):
        return torch.func.grad(lambda v: (v ** 2).sum())(x)

@export_case(args=lambda: (torch.randn(3),))
class SeedInside(torch.nn.Module):
    def forward(self, x):
        torch.manual_seed(42)
        return x + torch.rand(3)

@export_case(args=lambda: (torch.randn(4, 3),))
class CounterInside(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x * self.calls
"""


@pytest.mark.parametrize(
    ("case", "line"),
    [
        ("SameTensorTwice", "  outputs: output: value  (on fresh inputs)  [known: one-tensor-as-two-arguments]"),
        ("GradientInside", "    got:      FakeTensor"),
        ("SeedInside", "  effects: random generator: generator  (on the example inputs and fresh inputs)"),
        ("CounterInside", "  outputs: output: value  (on fresh inputs)"),
    ],
)
def test_programs_that_torch_captures_silently_wrong_are_found(pytester, case, line):
    pytester.makepyfile(case_silent=SILENT)
    result = check(pytester, "--exportcheck-modes=nonstrict", "-k", case)
    result.assert_outcomes(failed=1, deselected=3)
    assert line in result.outlines


TIED = """
import torch
from pytest_exportcheck import export_case

@export_case(args=lambda: (torch.randn(4, 3),))
class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.b(self.a(x))
"""


def test_known_defects_are_warnings_for_who_ships_and_failures_for_who_builds_engines(pytester):
    pytester.makepyfile(case_tied=TIED)
    modes = "--exportcheck-modes=nonstrict,nonstrict-serdes"
    shipped = check(pytester, modes)
    shipped.assert_outcomes(passed=2)
    shipped.stdout.fnmatch_lines(["  serdes-splits-tied-parameters (1 item): *", "  Tied   . k"])
    judged = check(pytester, modes, "--exportcheck-profile=conformance")
    judged.assert_outcomes(passed=1, failed=1)
    judged.stdout.fnmatch_lines(["  state: a.weight: untied  [[]known: serdes-splits-tied-parameters[]]"])


def test_dynamic_batch_is_checked_at_the_sizes_that_args_draws(pytester):
    pytester.makepyfile(
        case_batch="""
            import torch
            from torch.export import Dim
            from pytest_exportcheck import export_case

            sizes = iter([4, 7, 4, 7])

            @export_case(args=lambda: (torch.randn(next(sizes), 3),), dynamic_shapes=lambda: {"x": {0: Dim("b")}})
            class Baked(torch.nn.Module):
                def forward(self, x):
                    return x.sum(0) / torch.ones(4).shape[0]

            @export_case(args=lambda: (torch.randn(next(sizes), 3),))
            class Static(torch.nn.Module):
                def forward(self, x):
                    return x.sum(0)
        """
    )
    result = check(pytester, "--exportcheck-modes=nonstrict")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "case 'Static' (*): dim 0 of x varies between calls of args (4, 7) and is not declared; declare it in dynamic_shapes "
            "or draw one size."
        ]
    )


def test_warnings_as_errors_change_nothing(pytester):
    pytester.makepyfile(case_tied=TIED)
    check(pytester, "-W", "error", "--exportcheck-modes=strict").assert_outcomes(passed=1)


def test_context_is_entered_around_captures_and_runs(pytester):
    pytester.makepyfile(
        case_context="""
            import torch
            from pytest_exportcheck import export_case

            @export_case(args=lambda: (torch.randn(3),), context=torch.no_grad)
            class Net(torch.nn.Module):
                def forward(self, x):
                    assert not torch.is_grad_enabled()
                    return x + 1
        """
    )
    check(pytester, "--exportcheck-modes=nonstrict,strict,nonstrict-serdes").assert_outcomes(passed=3)


CONJUGATED = """
import torch
from pytest_exportcheck import export_case

@export_case(args=lambda: (torch.randn(2),))
class Turned(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("turn", torch.tensor([1 + 2j, 3 - 1j]).conj())

    def forward(self, x):
        return x * self.turn
"""


def test_a_conjugate_view_that_a_file_turns_back_is_found(pytester):
    pytester.makepyfile(case_turned=CONJUGATED)
    result = check(pytester, "--exportcheck-modes=nonstrict-serdes")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["serdes broke outputs*", "  state: turn: value", "*(1-2j)*", "*(1+2j)*"])
    check(pytester, "--exportcheck-modes=nonstrict-serdes", "--exportcheck-engines=reference").assert_outcomes(passed=1)
