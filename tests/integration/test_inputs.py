"""Inputs that do not fit what the case declares are one error of the case, before anything is captured."""

from __future__ import annotations

import pytest

CASE = """
import torch
from torch.export import Dim
from pytest_exportcheck import export_case, rejection

SIZES = iter([23, 46] * 9)

def size():
    return next(SIZES)

@export_case({options})
class Net(torch.nn.Module):
    def forward(self, {signature}):
        return torch.ones(2)
"""

VARIED = "varies between calls of args (23, 46) and is not declared; declare it in dynamic_shapes or draw one size."


@pytest.fixture
def run(echo, run_echo):
    def run(options: str, signature: str = "x, y=None, *rest, **more") -> pytest.RunResult:
        echo.makepyfile(case_net=CASE.format(options=options, signature=signature))
        return run_echo("--exportcheck-modes=nonstrict,strict")

    return run


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("args=lambda: (torch.ones(size(), 6),)", f"dim 0 of x {VARIED}"),
        ("args=lambda: (torch.ones(3, 6), {'a': [torch.ones(2, size())]})", f"dim 1 of y['a'][0] {VARIED}"),
        ("args=lambda: (torch.ones(3), None, torch.ones(size()))", f"dim 0 of args[2] {VARIED}"),
        (
            "args=(torch.ones(3),), kwargs=lambda: {'y': torch.ones(size())}",
            f"dim 0 of y {VARIED}".replace("of args", "of kwargs"),
        ),
        (
            "args=lambda: (torch.ones(size(), 6),), dynamic_shapes={'x': {1: Dim('b')}}",
            f"dim 0 of x {VARIED}",
        ),
        (
            "args=lambda: (torch.ones(size()),), dynamic_shapes={'x': {0: Dim.STATIC}}",
            f"dim 0 of x {VARIED}".replace("is not declared", "is declared as Dim.STATIC"),
        ),
        (
            "args=lambda: (torch.ones((2,) * (size() // 11)),)",
            "the number of dims of x varies between calls of args (2, 4); draw one number.",
        ),
        (
            "args=lambda: (torch.ones(2).to([torch.int64, torch.float32][size() % 2]),)",
            "the dtype of x varies between calls of args (torch.float32, torch.int64); draw one dtype.",
        ),
        (
            "args=lambda: (torch.ones(2), size())",
            "y varies between calls of args (23, 46), and a program keeps the value of the example; draw one value, or declare "
            "it in dynamic_shapes with Dim.DYNAMIC.",
        ),
        (
            "args=lambda: (torch.ones(2), size() == 23)",
            "y varies between calls of args (True, False), and a program keeps the value of the example; draw one value.",
        ),
        (
            "args=lambda: (torch.ones(2), torch.ones(2) if size() == 23 else None)",
            "y is a tensor in one call of args and not in the next (Tensor, NoneType); draw one kind of value.",
        ),
        (
            "args=lambda: ([torch.ones(2)] * size(),)",
            "the structure of args varies between its calls: x[23] is given in one and not in another (23, 46 values); draw "
            "one structure.",
        ),
        (
            "args=(torch.ones(2, 3),), dynamic_shapes={'x': {2: Dim('b')}}",
            "dynamic_shapes declares dim 2 of x, which has 2 dims; correct the number.",
        ),
        (
            "args=(torch.ones(2, 3),), dynamic_shapes=((None, None, Dim('b')),)",
            "dynamic_shapes gives 3 sizes for x, which has 2 dims; give one for each dim, None for a static one, or a dict of "
            "the dynamic ones: {0: Dim('batch')}.",
        ),
        (
            "args=(torch.ones(2, 3),), dynamic_shapes={'x': {0: Dim('b', min=4, max=9)}}",
            "dim 0 of x is 2 in the example inputs, outside the range that dynamic_shapes declares for b (4 to 9); draw a size "
            "within the range, or widen it.",
        ),
        (
            "args=lambda: (torch.ones(size(), 3),), dynamic_shapes={'x': {0: Dim('b', max=30)}}",
            "dim 0 of x is 46 in fresh inputs, outside the range that dynamic_shapes declares for b (0 to 30); draw a size "
            "within the range, or widen it.",
        ),
        (
            "args=(torch.ones(2, 3),), dynamic_shapes={'x': {0: 7}}",
            "dim 0 of x is 2 in the example inputs, but dynamic_shapes declares 7; make the two agree.",
        ),
    ],
)
def test_an_input_that_does_not_fit_is_one_error_of_the_case(run, options, message):
    result = run(options)
    result.assert_outcomes(failed=1, skipped=1)
    lines = [line for line in result.outlines if line.startswith("case 'Net' (")]
    assert [line.partition("): ")[2] for line in lines] == [message]


def test_every_place_is_named_at_once(run):
    result = run("args=lambda: (lambda n: (torch.ones(n, 2), torch.ones(3, n)))(size())")
    result.assert_outcomes(failed=1, skipped=1)
    result.stdout.fnmatch_lines([f"case 'Net' (*): dim 0 of x {VARIED}", f"dim 1 of y {VARIED}"], consecutive=True)


@pytest.mark.parametrize(
    "options",
    [
        "args=lambda: (torch.ones(size(), 6),), dynamic_shapes={'x': {0: Dim('b')}}",
        "args=lambda: (torch.ones(size(), 6),), dynamic_shapes={'x': {0: Dim.AUTO}}",
        "args=lambda: (torch.ones(size(), 6),), dynamic_shapes=({0: Dim.DYNAMIC},)",
        "args=lambda: (torch.ones(size(), 6),), dynamic_shapes=lambda: {'x': (Dim('b'), None)}",
        "args=lambda: (torch.ones(2 * size(), 6),), dynamic_shapes={'x': {0: 2 * Dim('b')}}",
        "args=lambda: (torch.ones(2), size()), dynamic_shapes={'x': None, 'y': Dim.DYNAMIC}",
        "args=lambda: (torch.ones(2), [torch.ones(size())]), dynamic_shapes={'x': None, 'y': [{0: Dim('b')}]}",
        "args=lambda: (torch.ones(size()),), dynamic_shapes=torch.export.AdditionalInputs()",
        "args=lambda: (torch.rand(2), 5, 'text', None)",
    ],
)
def test_what_is_declared_or_does_not_vary_is_fine(run, options):
    run(options).assert_outcomes(passed=2)


def test_a_case_that_must_be_refused_at_its_capture_says_what_it_likes(run):
    result = run("args=lambda: (torch.ones(size(), 6),), rejects=[rejection('capture')]")
    assert "varies between calls" not in result.stdout.str()
