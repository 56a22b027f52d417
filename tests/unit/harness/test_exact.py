"""Modules and inputs in float64, and the distance of two runs."""

from __future__ import annotations

import pytest
import torch

from pytest_exportcheck.harness.exact import (
    Unmeasured,
    inputs_in_double,
    module_in_double,
    observe_in_double,
    rounding_of,
)
from pytest_exportcheck.harness.observation import observe
from pytest_exportcheck.harness.snapshot import ModuleSnapshot
from pytest_exportcheck.records import Inputs

THIRD = torch.tensor([1.0, 3.0])


class State(torch.nn.Module):
    """State of every kind."""

    def __init__(self):
        super().__init__()
        self.one = torch.nn.Linear(2, 2).half()
        self.tied = self.one
        self.recurrent = torch.nn.LSTM(2, 2)
        self.register_buffer("turns", torch.ones(2, dtype=torch.complex64))
        self.register_buffer("count", torch.zeros(1, dtype=torch.int64))
        self.table = torch.ones(2)
        self.tables = [torch.ones(2), self.table]


def test_a_copy_of_a_module_is_double_everywhere():
    module = State()
    made = module_in_double(module)
    assert {each.dtype for each in made.parameters()} == {torch.float64}
    assert (made.turns.dtype, made.count.dtype, made.table.dtype) == (torch.complex128, torch.int64, torch.float64)
    assert made.one.weight is made.tied.weight
    assert made.tables[1] is made.table
    assert made.recurrent(torch.ones(1, 2, dtype=torch.float64))[0].dtype is torch.float64
    assert (module.one.weight.dtype, module.table.dtype) == (torch.float16, torch.float32)


def test_inputs_stay_what_they_are_but_for_the_dtype():
    x, ids = torch.ones(2, 3).t().requires_grad_(), torch.ones(2, dtype=torch.int64)
    made = inputs_in_double(Inputs("a call", (x, [x, ids]), {"scale": 2.0}))
    first, (second, same) = made.args
    assert first is second
    assert same is ids
    assert (first.dtype, first.stride(), first.requires_grad, first.is_leaf) == (torch.float64, (1, 3), True, True)
    assert made.kwargs == {"scale": 2.0}


class Thirds(torch.nn.Module):
    """Divides by three, keeps the result, and makes a tensor of its own."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(2))
        self.register_buffer("seen", torch.zeros(2))

    def forward(self, x):
        third = x / 3 * self.weight + torch.zeros(2)
        self.seen.copy_(third.detach())
        return third


def runs(module, *args, context=None):
    call = Inputs("a call", args, {})
    made = module_in_double(module)
    eager = observe(module, [call], snapshot=ModuleSnapshot(module), seed=0, context=context)
    exact = observe_in_double(made, [call], seed=0, context=context, gradients=True)
    return eager[0], exact[0]


def test_the_distance_of_outputs_state_and_gradients():
    rounding = rounding_of(*runs(Thirds(), THIRD))
    own = pytest.approx(1 / 3 - 0.3333333432674408, abs=1e-15)
    assert set(rounding.values) == {"output", "state seen"}
    assert -rounding.values["output"] == -rounding.values["state seen"] == own
    assert set(rounding.gradients) == {"weight"}
    assert (rounding.scale, rounding.gradient_scale) == (1.0, 0.25)
    assert rounding.exact_gradients == {"weight": 0.25}


def test_float64_by_default_holds_for_the_run_only():
    runs(Thirds(), THIRD)
    assert torch.get_default_dtype() is torch.float32


class Returning(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def only_float32(x):
    if x.dtype is not torch.float32:
        raise TypeError


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (only_float32, "eager in float64 raises TypeError"),
        (lambda x: (x, x + 1e8 > 1e8), "eager in float64 takes another branch: output[1]"),
        (lambda x: [x] * x.element_size(), "eager in float64 takes another path"),
    ],
)
def test_runs_that_do_different_things_have_no_distance(function, reason):
    with pytest.raises(Unmeasured) as raised:
        rounding_of(*runs(Returning(function), torch.tensor([1.0])))
    assert str(raised.value) == reason


@pytest.mark.parametrize(
    "function",
    [lambda x: x.float() / 3, lambda x: x * 1e38 * 1e38, lambda x: x.to_sparse(), lambda x: x.round().long()],
    ids=["hard-coded", "overflow", "sparse", "integer"],
)
def test_outputs_without_a_distance(function):
    assert rounding_of(*runs(Returning(function), torch.tensor([1.0]))).values == {}
