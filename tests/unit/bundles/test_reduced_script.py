"""The script of a reduced finding: plain torch, in the fewest lines, and it says what it says."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.export import Dim

from pytest_exportcheck.bundles.reduction.draft import Candidate, Draft
from pytest_exportcheck.bundles.reduction.respelled import respelled
from pytest_exportcheck.bundles.reduction.script import Subject, module_text, scripts_of
from pytest_exportcheck.bundles.reduction.sources import executed
from pytest_exportcheck.bundles.reduction.spelling import Unspeakable
from pytest_exportcheck.records import Inputs

SUBJECT = Subject(
    title="outputs: value", check="outputs", change="changed", key="value", capture="nonstrict", stage="decompose"
)


class Model(torch.nn.Module):
    """A module whose forward is a function of it and of its inputs."""

    def __init__(self, function: Callable[..., Any], **state: torch.Tensor) -> None:
        super().__init__()
        self._function = function
        for name, value in state.items():
            self.register_buffer(name, value)

    def forward(self, *args: Any) -> Any:
        return self._function(self, *args)


def candidate_of(module: torch.nn.Module, *args: Any, shapes: Any = None) -> Candidate:
    program = torch.export.export(module, args, dynamic_shapes=shapes)
    draft = Draft(Candidate(program, (Inputs("", args, {}),)))
    draft.flat = True
    return draft.finished()


def first_script(candidate: Candidate, subject: Subject = SUBJECT) -> str:
    return next(scripts_of(candidate, subject, respelled(candidate).spelling))


def run(text: str) -> tuple[int, str]:
    """Run a script in this process, and return the status and what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            with executed(text, {}):
                pass
        except AssertionError:
            return 1, printed.getvalue()
        except SystemExit as ended:
            return int(ended.code or 0), printed.getvalue()
    return 0, printed.getvalue()


def test_the_script_of_an_output():
    candidate = candidate_of(Model(lambda _, x: torch.nn.functional.gelu(x) + 1), torch.ones(2))
    text = first_script(candidate)
    assert text == (
        '"""outputs: value"""\n\n'
        "import torch\n\n\n"
        "class M(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        gelu = torch.nn.functional.gelu(x)\n"
        "        return gelu + 1\n\n\n"
        "args = (torch.ones(2),)\n"
        "program = torch.export.export(M(), args)\n"
        "expected = M()(*args)\n"
        "after = program.run_decompositions()\n"
        "got = after.module()(*args)\n"
        'print("expected", expected)\n'
        'print("got     ", got)\n'
        "torch.testing.assert_close(got, expected, rtol=0, atol=0, equal_nan=True)\n"
    )
    assert run(text) == (0, "expected tensor([1.8413, 1.8413])\ngot      tensor([1.8413, 1.8413])\n")


def test_the_script_of_a_gradient_shows_a_defect_of_torch():
    def forward(_: Any, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            y = x * 2
        return x * y

    candidate = candidate_of(Model(forward), torch.ones(1, requires_grad=True))
    text = first_script(candidate, replace(SUBJECT, title="gradients: value", check="gradients"))
    assert text == (
        '"""gradients: value"""\n\n'
        "import torch\n\n\n"
        "class M(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        with torch.no_grad():\n"
        "            mul = x * 2\n"
        "        return x * mul\n\n\n"
        "def arguments():\n"
        "    return (torch.tensor([1.0]).requires_grad_(),)\n\n\n"
        "def run(module):\n"
        "    args = arguments()\n"
        "    module(*args).sum().backward()\n"
        "    return [each.grad for each in (*args, *module.parameters()) if each.requires_grad]\n\n\n"
        "program = torch.export.export(M(), arguments())\n"
        "expected = run(M())\n"
        "after = program.run_decompositions()\n"
        "got = run(after.module())\n"
        'print("expected", expected)\n'
        'print("got     ", got)\n'
        "torch.testing.assert_close(got, expected, rtol=0, atol=0, equal_nan=True)\n"
    )
    assert run(text) == (1, "expected [tensor([2.])]\ngot      [tensor([4.])]\n")


@pytest.mark.parametrize("stage", ["serdes", "retrace", "unflatten", "nonstrict"])
def test_the_script_of_each_stage_runs(stage: str):
    candidate = candidate_of(Model(lambda _, x: x.sin()), torch.ones(2))
    status, printed = run(first_script(candidate, replace(SUBJECT, stage=stage)))
    assert (status, printed) == (0, "expected tensor([0.8415, 0.8415])\ngot      tensor([0.8415, 0.8415])\n")


def test_state_that_is_written_is_in_the_script_and_is_compared():
    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        self.count.add_(1)
        return x + self.count

    candidate = candidate_of(Model(forward, count=torch.zeros(2)), torch.ones(2))
    subject = replace(SUBJECT, check="effects", change="dropped", key="mutation")
    for each in (candidate, Candidate(candidate.program.run_decompositions(), candidate.calls)):
        text = next(scripts_of(each, subject, {}))
        assert 'self.register_buffer("count", torch.zeros(2))' in text
        expected = "[tensor([1., 1.]), tensor([1., 1.])]"
        assert run(text) == (0, f"expected {expected}\ngot      {expected}\n")


def test_a_stage_that_raises_is_shown_with_its_error():
    candidate = candidate_of(Model(lambda _, x: x.sin()), torch.ones(2))
    text = first_script(candidate, replace(SUBJECT, check="stage", change="raised", key=""))
    broken = text.replace("program.run_decompositions()", "program.no_such_method()")
    assert run(text)[0] == 0
    assert run(broken) == (
        1,
        "expected tensor([0.8415, 0.8415])\n"
        "got      AttributeError: 'ExportedProgram' object has no attribute 'no_such_method'\n",
    )


def test_a_stride_is_compared_as_a_stride():
    candidate = candidate_of(Model(lambda _, x: x.sin()), torch.arange(6.0).reshape(2, 3).t())
    text = first_script(candidate, replace(SUBJECT, key="stride"))
    assert run(text) == (0, "expected (1, 3)\ngot      (1, 3)\n")


def test_dynamic_shapes_are_in_the_script():
    shapes = (({0: Dim("rows", min=3, max=8)}, {0: 2 * Dim("rows", min=3, max=8)}),)
    module = Model(lambda _, x, y: torch.cat([x, x]) + y)
    text = first_script(candidate_of(module, torch.ones(4), torch.ones(8), shapes=shapes))
    assert 'dim = torch.export.Dim("dim", min=3, max=8)\n' in text
    assert "torch.export.export(M(), args, dynamic_shapes=({0: dim}, {0: 2 * dim},))\n" in text
    assert run(text)[0] == 0


def test_a_condition_is_written_with_its_branches():
    def forward(_: Any, x: torch.Tensor) -> torch.Tensor:
        return torch.cond(x.sum() > 0, lambda x: x.sin(), lambda x: x.cos() * 2, (x,))

    candidate = candidate_of(Model(forward), torch.ones(2))
    text = module_text(candidate, respelled(candidate).spelling)
    assert text == (
        "class M(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        sum_1 = torch.sum(x)\n"
        "        gt = torch.gt(sum_1, 0)\n"
        "        def cond_true(args_0):\n"
        "            sin = torch.sin(args_0)\n"
        "            return (sin,)\n"
        "\n"
        "        def cond_false(args_0):\n"
        "            cos = torch.cos(args_0)\n"
        "            mul = cos * 2\n"
        "            return (mul,)\n"
        "\n"
        "        cond = torch.cond(gt, cond_true, cond_false, (x,))\n"
        "        return cond[0]"
    )
    assert run(first_script(candidate))[0] == 0


def test_a_nicer_spelling_is_used_where_the_capture_has_the_same_operator_only():
    class Exact(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.ops.aten.add.Tensor(torch.ops.aten.layer_norm.default(x, [2], None, None, 1e-05, False), x)

    candidate = candidate_of(Exact(), torch.ones(1, 2))
    made = respelled(candidate)
    assert (
        made.spelling["aten.layer_norm.default"] == 1
    )  # torch.layer_norm: functional.layer_norm takes fewer arguments
    assert module_text(candidate, made.spelling).endswith(
        "        layer_norm = torch.layer_norm(x, [2], None, None, 1e-05, False)\n        return layer_norm + x"
    )


def test_a_tensor_that_is_too_large_has_no_script():
    candidate = candidate_of(Model(lambda _, x: x.sin()), torch.rand(9, 9))
    with pytest.raises(Unspeakable) as raised:
        first_script(candidate)
    assert str(raised.value) == "a tensor that is too large to be written, and that no recipe makes"
