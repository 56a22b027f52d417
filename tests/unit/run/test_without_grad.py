"""Programs below autograd are for inference: outputs and effects are judged without grad, gradients are reported only."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from pytest_exportcheck.engines.reference import Reference
from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.options import Fuzzing
from pytest_exportcheck.records import Case
from pytest_exportcheck.reports.wording import kind_of
from tests.unit.echo_session import ORIGIN, Doubling, Echo, Program, Session, copied, modes

BELOW = "nonstrict_postdispatch"


class Masked(nn.Module):
    """Attention with a mask that requires grad: below autograd its kernel is not differentiable in the mask."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.ones(6, 6).tril())
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls.add_(1)
        return F.scaled_dot_product_attention(x, x, x, attn_mask=self.bias * 2)


class ByGradMode(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        return self.layer(x) * (2 if torch.is_grad_enabled() else 3)


class NeedsGrad(nn.Module):
    """Eager cannot run without grad at all."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x):
        y = x * self.scale
        if not y.requires_grad:
            raise RuntimeError("this model needs grad")
        return y


def masked(**options):
    return Case(name="masked", build=Masked, origin=ORIGIN, args=lambda: (torch.randn(2, 4, 6, 8),), **options)


def case(build, **options):
    return Case(name="net", build=build, origin=ORIGIN, args=lambda: (torch.randn(2, 3),), **options)


def run(engine, given, *names, **options):
    outcomes = Session(engine, given, wanted=modes(*names), **options).run(*names)
    return outcomes if len(names) > 1 else [outcomes]


WITH_GRAD = (
    "The program computes what eager computes with grad: the capture ran forward() with grad enabled. Under torch.no_grad(), as "
    "inference programs are called, forward() computes something else. Capture under torch.no_grad() (context=torch.no_grad)."
)
NOTE = (
    "(known defect attention-mask-below-autograd); with grad it raises RuntimeError: The function "
    "'_scaled_dot_product_flash_attention_for_cpu' is not differentiable with respect to argument 'attn_mask'. This input "
    "cannot have requires_grad True."
)


@pytest.mark.parametrize("capture", ["nonstrict_postdispatch", "strict_postdispatch"])
def test_a_program_that_cannot_be_called_with_grad_passes_with_a_note(capture):
    (outcome,) = run(TorchExport(), masked(), capture)
    assert outcome.status == "passed" or {each.known_as for each in outcome.findings if each.verdict == "known"} == {
        "strict-reorders-state"
    }
    assert outcome.notes == (f"{capture}: the program can only be called under torch.no_grad() {NOTE}",)
    (finding,) = [each for each in outcome.findings if each.check == "gradients"]
    assert (finding.place, finding.verdict, finding.known_as) == (
        "the call",
        "tolerated",
        "attention-mask-below-autograd",
    )


def test_what_is_made_of_it_is_judged_without_grad_too_and_says_nothing_again():
    edges = [f"{BELOW}-{edge}" for edge in ("serdes", "retrace", "unflatten", "serdes-serdes")]
    outcomes = run(TorchExport(), masked(), BELOW, *edges)
    assert {each.mode: (each.status, each.notes) for each in outcomes[1:]} == dict.fromkeys(edges, ("passed", ()))


def test_the_reference_engine_retraces_it_without_grad():
    retraced = f"{BELOW}-retrace"
    outcome = run(Reference(), masked(), BELOW, retraced)[1]
    assert (outcome.mode, outcome.status, outcome.notes) == (retraced, "passed", ())


def test_sizes_are_fuzzed_without_grad():
    given = masked(dynamic_shapes=({0: torch.export.Dim("batch", min=2, max=8)},))
    fuzzed = [f"{BELOW}-fuzz", f"{BELOW}-serdes-fuzz"]
    wanted = [BELOW, f"{BELOW}-serdes", *fuzzed]
    outcomes = run(TorchExport(), given, *wanted, fuzz=Fuzzing(examples=5))
    assert {each.mode: each.status for each in outcomes if each.mode in fuzzed} == dict.fromkeys(fuzzed, "passed")


class Wrong(Echo):
    """Programs that compute something else, and only without grad."""

    def __init__(self, *, with_grad):
        super().__init__()
        self._with_grad = with_grad

    def export(self, module, args, kwargs=None, **options):
        made = copied(module)
        wrong = Doubling(made)
        right = type(made).forward
        wrong.real = lambda this, x: right(this, x) / (1 if torch.is_grad_enabled() is self._with_grad else 2)
        return Program(wrong)


def test_a_program_that_is_wrong_without_grad_fails():
    (outcome,) = run(Wrong(with_grad=False), case(lambda: nn.Linear(3, 3)), BELOW)
    assert (outcome.status, [(each.check, kind_of(each)) for each in outcome.findings if each.verdict == "broken"]) == (
        "failed",
        [("outputs", "value")],
    )


def test_a_program_that_is_wrong_with_grad_alone_has_its_gradients_reported():
    (outcome,) = run(Wrong(with_grad=True), case(lambda: nn.Linear(3, 3)), BELOW)
    assert (outcome.status, {each.check for each in outcome.findings}) == ("passed", {"gradients"})


@pytest.mark.parametrize("capture", ["nonstrict", "strict"])
def test_other_captures_are_judged_with_grad(capture):
    (outcome,) = run(Wrong(with_grad=True), case(lambda: nn.Linear(3, 3)), capture)
    assert outcome.status == "failed"


def test_a_capture_that_runs_a_model_with_grad_is_wrong_for_inference():
    """Torch's non-strict capture below autograd runs ``forward`` without grad, the strict one with it."""
    captures = ["nonstrict", "nonstrict_postdispatch", "strict_postdispatch"]
    outcomes = run(TorchExport(), case(ByGradMode), *captures)
    assert [each.status for each in outcomes] == ["passed", "passed", "failed"]
    assert [each.notes for each in outcomes] == [(), (), ()]
    wrong = [each for each in outcomes[2].findings if each.check == "outputs"]
    assert [(kind_of(each), each.detail.splitlines()[1:]) for each in wrong] == [("value", [WITH_GRAD])]


def test_captured_without_grad_it_is_right():
    (outcome,) = run(TorchExport(), case(ByGradMode, context=torch.no_grad), "strict_postdispatch")
    assert [each for each in outcome.findings if each.check == "outputs"] == []


class Rounded(nn.Module):
    """Differs by less than closeness allows with grad and without; a program differs by as much on the other side."""

    def forward(self, x):
        return x * (1 if torch.is_grad_enabled() else 1 + 8e-6)


def test_where_eager_differs_by_rounding_a_program_may_have_the_kernels_that_eager_has_with_grad():
    class Kernels(Echo):
        def export(self, module, args, kwargs=None, **options):
            made = copied(module)
            made.forward = lambda x: x * (1 - 8e-6)
            return Program(made)

    (outcome,) = run(Kernels(), case(Rounded), BELOW)
    assert [each for each in outcome.findings if each.check == "outputs"] == []
    assert outcome.notes == (
        f"{BELOW}: compared with eager with grad, because the program has its kernels; under torch.no_grad() eager differs by rounding",
    )


def test_what_is_neither_eager_with_grad_nor_without_fails():
    (outcome,) = run(Wrong(with_grad=False), case(ByGradMode), BELOW)
    assert outcome.status == "failed"


def test_a_model_that_needs_grad_is_held_against_eager_with_grad():
    (outcome,) = run(Echo(), case(NeedsGrad), BELOW)
    assert [(each.check, kind_of(each)) for each in outcome.findings if each.verdict == "broken"] == [
        ("outputs", "raised")
    ]


def test_eager_runs_without_grad_once_and_only_where_a_mode_needs_it():
    seen = []

    class Watching(nn.Linear):
        def forward(self, x):
            seen.append(torch.is_grad_enabled())
            return super().forward(x)

    class Silent(Echo):
        def export(self, module, args, kwargs=None, **options):
            made = copied(module)
            made.forward = lambda x: F.linear(x, made.weight, made.bias)
            return Program(made)

    given = case(lambda: Watching(3, 3))
    run(Silent(), given, "nonstrict", "strict")
    assert set(seen) == {True}
    seen.clear()
    run(Silent(), given, BELOW, f"{BELOW}-decompose")
    assert seen.count(False) == 2  # the example and the fresh inputs
