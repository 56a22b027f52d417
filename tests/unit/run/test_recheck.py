"""Eager, run again where a comparison failed: in float64, and without the fast path of attention."""

from __future__ import annotations

import pytest
import torch

from pytest_exportcheck.harness.gradients import custom_functions
from pytest_exportcheck.records import Case, Tolerance
from pytest_exportcheck.reports.wording import kind_of
from pytest_exportcheck.run.recheck import EagerAgain
from tests.unit.echo_session import ORIGIN, Echo, Session, copied, modes

BIG = 1e4


class Cancelling(torch.nn.Module):
    """``x`` is less than half of what float32 can tell apart at 10,000: eager returns 0, and 20,000."""

    def __init__(self):
        super().__init__()
        self.off = 0.0
        self.lowered = False

    def forward(self, x, big):
        return x + self.off if self.lowered else (x + big) - big, big * 2


class Lowering(Echo):
    """Decomposes into another way to compute the same, which is ``off`` by a number."""

    def __init__(self, off=0.0):
        super().__init__()
        self.off = off

    def decompose(self, program, decomp_table=None):
        module = copied(program.module())
        module.lowered, module.off = True, self.off
        return self._made("decompose", module)


@pytest.fixture
def exact_runs(monkeypatch):
    """The runs in float64."""
    made = []
    run = EagerAgain.exactly

    def counted(self, calls, *, gradients):
        made.append([call.label for call in calls])
        return run(self, calls, gradients=gradients)

    monkeypatch.setattr(EagerAgain, "exactly", counted)
    return made


def lowered(off=0.0, build=Cancelling, x=3e-4, names=("nonstrict-decompose",), **options):
    given = Case(name="net", build=build, origin=ORIGIN, args=(torch.tensor([x]), torch.tensor([BIG])), **options)
    return Session(Lowering(off), given, wanted=modes(*names)).run(*names)


def details(outcome):
    return [each.detail for each in outcome.findings]


def test_decompose_may_move_a_value_by_a_few_times_the_rounding_of_eager():
    assert lowered().status == "passed"


def test_decompose_may_not_move_it_further():
    outcome = lowered(off=1e-3)
    assert outcome.status == "failed"
    assert details(outcome) == [
        "1 of 1 elements differ, by at most 0.0013 (allowed: 0.0012, 4 times the difference between eager and eager in float64)"
    ]


def test_float64_is_not_run_where_no_comparison_fails(exact_runs):
    assert lowered(x=0.0).status == "passed"
    assert exact_runs == []


def test_float64_is_run_once_for_a_case(exact_runs):
    first, second = lowered(names=("nonstrict-decompose", "strict-decompose"))
    assert [first.status, second.status] == ["passed", "passed"]
    assert exact_runs == [["the example inputs", "fresh inputs"]]


def test_a_declared_tolerance_has_the_last_word(exact_runs):
    outcome = lowered(tolerance=Tolerance(rtol=0.0, atol=1e-6))
    assert details(outcome) == [
        "1 of 1 elements differ, by at most 0.0003 (allowed: 1e-06 + 0 of the largest value)",
    ]
    assert exact_runs == []


class Small(Cancelling):
    """Returns small values alone: what is lost of them beside a large input is no rounding of theirs."""

    def forward(self, x, big):
        return super().forward(x, big)[0]


def test_a_large_input_excuses_nothing_in_small_outputs():
    (detail,) = details(lowered(build=Small))
    assert detail.endswith("eager differs by 0.0003 from eager in float64, more than rounding explains)")


class SinglePrecision(Cancelling):
    def forward(self, x, big):
        if x.dtype != torch.float32:
            raise TypeError("float32 is all I know")
        return super().forward(x, big)


class Stepping(Cancelling):
    """Eager rounds to a step that float64 does not round to."""

    def forward(self, x, big):
        small, large = super().forward(x, big)
        return small + torch.floor(torch.full_like(x, 0.7) / 0.1), large


class Choosing(Cancelling):
    """Eager decides otherwise in float64."""

    def forward(self, x, big):
        return *super().forward(x, big), (x + big) > big


class Closing(Cancelling):
    """Holds a function that closes over a tensor, which a deep copy would share."""

    def __init__(self):
        super().__init__()
        tensor = torch.ones(1)
        self.function = lambda: tensor


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (SinglePrecision, "eager in float64 raises TypeError"),
        (Stepping, "eager differs by 1 from eager in float64, more than rounding explains"),
        (Choosing, "eager in float64 takes another branch: output[2]"),
    ],
)
def test_without_a_rounding_to_go_by_the_usual_bound_holds(build, reason):
    (detail,) = details(lowered(off=1e-3, build=build))
    assert detail.endswith(f"(allowed: 1e-07 + 1e-05 of the largest value; {reason})")


def test_a_module_that_cannot_be_copied_has_no_run_in_float64():
    (detail,) = details(lowered(build=Closing))
    assert detail.endswith("(allowed: 1e-07 + 1e-05 of the largest value; the module cannot be copied to float64)")


class Attention(torch.nn.MultiheadAttention):
    """Attention whose fast path moves every value by ``off``, and has other strides."""

    def __init__(self, off=1e-6):
        super().__init__(2, 1)
        self.off = off

    def forward(self, x):  # type: ignore[override]  # attends to its only input
        result = x @ self.in_proj_weight[:2]
        return (result + self.off).t().contiguous().t() if torch.backends.mha.get_fastpath_enabled() else result


class Captured(torch.nn.Module):
    """What a capture makes of it: no fast path, and an error of its own."""

    def __init__(self, module, wrong):
        super().__init__()
        self.__dict__.update(module.__dict__)
        self.wrong = wrong

    def forward(self, x):
        return x @ self.in_proj_weight[:2] + self.wrong


class Capturing(Echo):
    def __init__(self, wrong):
        super().__init__()
        self.wrong = wrong

    def export(self, module, args, kwargs=None, **options):
        return self._made("nonstrict", Captured(copied(module), self.wrong))


def captured(wrong=0.0, off=1e-6, check="outputs"):
    given = Case(
        name="net", build=lambda: Attention(off), origin=ORIGIN, args=(torch.tensor([[1.0, 2.0], [3.0, 4.0]]),)
    )
    outcome = Session(Capturing(wrong), given, wanted=modes("nonstrict")).run("nonstrict")
    return [each for each in outcome.findings if each.check == check], outcome.notes


def test_a_capture_need_not_take_the_fast_path_of_attention():
    found, (note,) = captured()
    assert found == []
    before, _, after = note.partition(" (output: 4 of 4 elements differ, by at most ")
    assert before == (
        "eager takes the fast path of nn.MultiheadAttention, but a capture may not. Programs are compared with eager without the "
        "fast path, from which eager with it differs"
    )
    assert after.endswith("). To switch it off: torch.backends.mha.set_fastpath_enabled(False)")


def test_a_capture_that_is_off_by_an_ulp_is_compared_with_eager_without_the_fast_path():
    found, notes = captured(wrong=3e-7)
    assert [(kind_of(each), each.detail.splitlines()[-1]) for each in found] == [
        (
            "value",
            "Expected is what eager computes without the fast path of nn.MultiheadAttention "
            "(torch.backends.mha.set_fastpath_enabled(False)).",
        )
    ]
    assert len(notes) == 1  # the strides


def test_other_values_on_the_fast_path_stay_a_finding():
    found, _ = captured(off=1.0)
    assert [(kind_of(each), each.detail) for each in found] == [
        (
            "value",
            "4 of 4 elements differ, by at most 1\n"
            "Eager takes the fast path of nn.MultiheadAttention, which gives other values here (with a padding mask an encoder "
            "returns zeros at padded positions). Without it, eager computes what the program computes: build the encoder with "
            "enable_nested_tensor=False, or call torch.backends.mha.set_fastpath_enabled(False).",
        )
    ]


def test_a_fast_path_that_is_switched_off_is_not_looked_for():
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        assert captured() == ([], ())
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


class _Tripled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 3

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 3


def test_custom_functions_are_named_wherever_they_are_in_the_graph():
    x = torch.ones(2, requires_grad=True)
    assert custom_functions([_Tripled.apply(x * 2).sin(), x + 1]) == ("_Tripled",)
    assert custom_functions([x * 3, torch.ones(1)]) == ()
