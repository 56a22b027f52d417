"""Budgets of runtimes and named inputs of a case: what they find, what a report says, and what is declared wrongly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from pytest_exportcheck import Agreement
from pytest_exportcheck.bundles.read import read_bundle
from pytest_exportcheck.errors import RuntimeRaised
from pytest_exportcheck.reports.json_report import read_report

RUNTIMES = '''
import torch
from torch.utils import _pytree


class Noisy:
    """Its package adds a little to what the program computes: a lot where the input is above 5."""

    name, needs, extra = "noisy", (), ""

    def compile(self, program, folder):
        torch.export.save(program, folder / "program.pt2")
        return {}

    def load(self, folder):
        program = torch.export.load(folder / "program.pt2")
        module = program.module()

        def call(inputs):
            args, kwargs = _pytree.tree_unflatten(list(inputs), program.call_spec.in_spec)
            found = _pytree.tree_leaves(module(*args, **kwargs))
            return [self.changed(each, inputs) if each.is_floating_point() else each for each in found]

        return call

    def changed(self, output, inputs):
        return output + (3 if inputs[0].max() > 5 else 0.01)


class Late(Noisy):
    """Its package misreads other layouts, in batches that only fuzzing draws."""

    name = "late"

    def load(self, folder):
        call = super().load(folder)

        def misread(each):
            if each.shape[0] > 4 and not each.is_contiguous() and 0 not in each.stride():
                return each.as_strided(each.shape, torch.empty(each.shape).stride())
            return each

        return lambda inputs: call([misread(each) for each in inputs])

    def changed(self, output, inputs):
        return output


class Strict(Noisy):
    """Its package refuses other layouts, and converts dtypes."""

    name = "strict_layouts"

    def load(self, folder):
        call = super().load(folder)

        def strictly(inputs):
            if not inputs[0].is_contiguous():
                raise ValueError("contiguous only")
            return call([each.float() for each in inputs])

        return strictly

    def changed(self, output, inputs):
        return output
'''

CONFTEST = """
import more_runtimes


def exportcheck_runtimes():
    return [more_runtimes.Noisy(), more_runtimes.Late(), more_runtimes.Strict()]
"""

CASE = """
import torch
from torch.export import Dim

from pytest_exportcheck import Agreement, export_case


@export_case(args=lambda: (torch.rand(2, 3),), {options})
class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.ones(3))

    def forward(self, x):
        {first}
        return {{"logits": x * self.calls, "ids": x.argmax(-1)}}
"""

BATCH = "dynamic_shapes={'x': {0: Dim('batch', max=8)}}"


class InProcess:
    """A stand-in for the child process, which calls packages here: starting one costs seconds."""

    def __init__(self, **_: object) -> None:
        self.loaded: dict[str, Callable[..., Any]] = {}

    def load(self, runtime: Any, folder: Any, package: str) -> float:
        self.loaded[package] = runtime.load(folder)
        return 0.0

    def call(self, runtime: str, package: str, inputs: Sequence[Any], seed: int) -> tuple[list[Any], list[Any], float]:
        torch.manual_seed(seed)
        try:
            with torch.no_grad():
                return list(self.loaded[package](inputs)), list(inputs), 0.0
        except ValueError as error:
            raise RuntimeRaised(runtime, "call", "ValueError", str(error)) from None

    def has(self, package: str) -> bool:
        return package in self.loaded

    def drop(self, package: str) -> None:
        del self.loaded[package]

    def close(self) -> None:
        self.loaded.clear()


@pytest.fixture
def run(whole_torch: None, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("pytest_exportcheck.run.runtime_edges.RuntimeProcess", InProcess)

    def run(options: str, *arguments: str, first: str = "self.calls.add_(1)") -> pytest.RunResult:
        pytester.makeconftest(CONFTEST)
        pytester.makepyfile(more_runtimes=RUNTIMES, case_model=CASE.format(options=options, first=first))
        return pytester.runpytest(
            "--exportcheck", "--exportcheck-engines=torch", "--exportcheck-modes=nonstrict", *arguments
        )

    return run


def test_a_budget_takes_the_place_of_closeness_at_every_sample(run, pytester: pytest.Pytester) -> None:
    result = run(
        "agreement=Agreement(max_abs=0.1), samples={'cat': (torch.ones(2, 3),), 'dog': lambda: (torch.full((2, 3), 6.0),)}",
        "--exportcheck-runtime=noisy",
        "--exportcheck-json=report.json",
        "-v",
    )
    result.assert_outcomes(passed=1, failed=1)
    assert (
        "\n  outputs: output['logits']: value  (on sample 'dog')\n    expected: max_abs at most 0.1\n    got:      max_abs 3\n"
        "    6 of 6 elements differ, by at most 3\n\n"
    ) in result.stdout.str()
    (facts,) = [each.facts for each in read_report(pytester.path / "report.json").items if each.facts]
    assert {name: value for name, value in facts.items() if name.startswith("max_abs")} == {
        "max_abs of output['logits']": 3.0,
    }
    assert "max_abs of output['logits'] 3.0" in " ".join(result.stdout.str().split())


def test_a_runtime_and_an_output_may_have_their_own_budgets(run) -> None:
    budgets = "agreement={{'noisy': {0}, '*': Agreement(max_abs=0)}}"
    run(
        budgets.format("Agreement(max_abs=0, outputs={'logits': Agreement(max_abs=0.02)})"),
        "--exportcheck-runtime=noisy",
    ).assert_outcomes(passed=2)
    result = run(budgets.format("Agreement(outputs={0: Agreement(sqnr_db=99)})"), "--exportcheck-runtime=noisy")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["    expected: sqnr_db at least 99", "    got:      sqnr_db *"], consecutive=True)


def test_a_bundle_has_the_budget_of_its_runtime(run, pytester: pytest.Pytester) -> None:
    budgets = "{'noisy': Agreement(max_abs=0.1, outputs={1: Agreement(top1=1)}), 'late': Agreement(max_abs=9)}"
    run(
        f"agreement={budgets}, samples={{'dog': (torch.full((2, 3), 6.0),)}}",
        "--exportcheck-runtime=noisy",
        "--exportcheck-repro-dir=found",
    ).assert_outcomes(passed=1, failed=1)
    (folder,) = (pytester.path / "found").iterdir()
    record = read_bundle(folder).record
    assert record.call == "sample 'dog'"
    assert record.case.agreement == Agreement(max_abs=0.1, outputs={"1": Agreement(top1=1)})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            "agreement={'nosy': Agreement(top1=1)}",
            "agreement names 'nosy', which is not a runtime that may differ; did you mean 'noisy'? Runtimes: aoti, onnx, "
            "executorch, executorch_xnnpack, openvino, noisy, late, strict_layouts.",
        ),
        (
            "agreement={'reload': Agreement(top1=1)}",
            "agreement names 'reload', which is not a runtime that may differ. Runtimes: aoti, onnx, executorch, "
            "executorch_xnnpack, openvino, noisy, late, strict_layouts.",
        ),
        (
            "agreement=Agreement(outputs={'logit': Agreement(top1=1)})",
            "agreement names the output 'logit', which the model does not return; did you mean 'logits'? Outputs: 0 "
            "(output['logits']), 1 (output['ids']).",
        ),
        (
            "agreement=Agreement(outputs={2: Agreement(top1=1)})",
            "agreement names the output 2, which the model does not return. Outputs: 0 (output['logits']), 1 (output['ids']).",
        ),
        (
            "agreement=Agreement(outputs={'ids': Agreement(cosine=1)})",
            "agreement gives the output 'ids' cosine, which cannot be measured: output['ids'] is int64[2]. Integer and boolean "
            "outputs have top1 only; top1 of floating-point outputs needs a last dim of 2 or more.",
        ),
        (
            "samples={'dog': (torch.ones(2, 3), torch.ones(1))}",
            "args[1] is only in sample 'dog'; sample 'dog' must have the structure of the example.",
        ),
        (
            "samples={'dog': lambda: torch.ones(2, 3)}",
            "sample 'dog' must return a tuple of positional arguments, a dict of keyword arguments, or a tuple of both, got "
            "Tensor. For one argument write (x,).",
        ),
        (
            "samples={'dog': lambda: 1 // 0}",
            "its sample 'dog' callable raised ZeroDivisionError: integer division or modulo by zero",
        ),
        (
            "samples={'dog': (torch.ones(3, 3),)}",
            "dim 0 of x is 3 in sample 'dog' and 2 in the example inputs, and is not declared; declare it in dynamic_shapes, or "
            "resize the sample.",
        ),
        (
            f"samples={{'dog': (torch.ones(9, 3),)}}, {BATCH}",
            "dim 0 of x is 9 in sample 'dog', outside the range that dynamic_shapes declares for batch (0 to 8); draw a size within "
            "the range, or widen it.",
        ),
        (
            "samples={'dog': (torch.ones(2, 3).half(),)}",
            "x is torch.float16 in sample 'dog' and torch.float32 in the example inputs; convert the sample.",
        ),
        (
            "samples={'dog': (torch.ones(2),)}",
            "x has 1 dims in sample 'dog' and 2 in the example inputs; reshape the sample.",
        ),
        (
            "samples={'dog': (3,)}",
            "x is a int in sample 'dog' and a Tensor in the example inputs; give the same kind of value.",
        ),
    ],
)
def test_what_is_declared_wrongly_is_one_error_of_the_case(run, options: str, message: str) -> None:
    text = run(options).stdout.str()
    lines = {
        line.partition("): ")[2]
        for line in text.splitlines()
        if line.startswith(("case 'Model' (", "E   case 'Model' ("))
    }
    assert [line.partition("(raised at")[0] for line in lines] == [message]


def test_only_fuzzing_draws_the_layout_and_size_that_a_runtime_misreads(run) -> None:
    result = run(
        BATCH,
        "--exportcheck-runtime=late",
        "--exportcheck-fuzz=40",
        "--exportcheck-fuzz-also=layout,dtype",
        first="pass",
    )
    result.assert_outcomes(passed=3, failed=1)
    text = result.stdout.str()
    assert "_ Model[torch-nonstrict-late-fuzz] _" in text
    assert "  outputs: output['logits']: value  (on batch=5, args[0] as every second element of a wider tensor)" in text


def test_a_runtime_that_refuses_layouts_and_converts_dtypes_is_no_finding_of_fuzzing_either(run) -> None:
    result = run(
        BATCH, "--exportcheck-runtime=strict_layouts", "--exportcheck-fuzz=12", "--exportcheck-fuzz-also=layout,dtype"
    )
    result.assert_outcomes(passed=4)
    notes = " ".join(result.stdout.str().split())
    assert (
        "nonstrict-strict_layouts refuses: args[0] as every second element of a wider tensor, with its last dim outermost in "
        "memory, expanded from its first row; args[0].size(0)=9"
    ) in notes
