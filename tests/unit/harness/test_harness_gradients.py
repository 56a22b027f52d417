"""Gradients of what a call returned."""

from __future__ import annotations

import pytest
import torch

from pytest_exportcheck.harness.gradients import gradients_of
from pytest_exportcheck.harness.snapshot import ModuleSnapshot
from pytest_exportcheck.records import Gradients, Observation

WEIGHTS = torch.arange(3) % 7 / 8 + 1 / 8


def leaf(*shape, **options):
    return torch.ones(*shape, requires_grad=True, **options)


def gradients(outputs, inputs=(), module=None, **options):
    named = [(f"output[{number}]", each) for number, each in enumerate(outputs)]
    places = [(f"args[{number}]", each) for number, each in enumerate(inputs)]
    return gradients_of(named, places, ModuleSnapshot(module) if module else None, **options)


def test_the_loss_is_a_weighted_sum_of_the_outputs():
    x = leaf(3)
    assert torch.equal(gradients([x * 2], [x]).values["args[0]"], 2 * WEIGHTS)


def test_an_output_that_requires_no_grad_counts_for_nothing():
    x = leaf(3)
    assert torch.equal(gradients([torch.ones(3), x * 2, None, 3], [x]).values["args[0]"], 2 * WEIGHTS)


@pytest.mark.parametrize("outputs", [[], [torch.ones(2)], [None, 3, "text"]])
def test_where_nothing_requires_grad_there_are_none(outputs):
    assert gradients(outputs, [leaf(2)]) is None


def test_where_no_leaf_requires_grad_there_are_none():
    assert gradients([leaf(2) * 2], [torch.ones(2), 3]) is None


def test_an_unused_input_has_no_gradient():
    x, unused = leaf(2), leaf(2)
    assert gradients([x * 2], [x, unused]).values["args[1]"] is None


def test_parameters_have_their_names_and_tied_ones_the_first():
    module = torch.nn.Sequential(torch.nn.Linear(2, 2, bias=False), torch.nn.Linear(2, 2, bias=False))
    module[1].weight = module[0].weight
    assert list(gradients([module(torch.ones(1, 2))], module=module).values) == ["0.weight"]


def test_gradients_leave_no_trace():
    module = torch.nn.Linear(2, 2)
    gradients([module(torch.ones(1, 2))], module=module)
    assert module.weight.grad is None


class Fails(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x.clone()

    @staticmethod
    def backward(context, gradient):
        raise ValueError("no backward")


def test_a_backward_that_raises_says_so():
    x = leaf(2)
    found = gradients([Fails.apply(x)], [x])
    assert (found.values, found.raised.type, found.raised.message) == ({}, "ValueError", "no backward")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16, torch.complex64])
def test_outputs_of_every_differentiable_dtype_count(dtype):
    x = leaf(2, dtype=dtype)
    assert gradients([x * 2], [x]).values["args[0]"].dtype == dtype


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x.to_sparse(),
        lambda x: torch.nested.nested_tensor_from_jagged(x, torch.tensor([0, 1, 2])),
        lambda x: x.expand(3, 2, 2),
        lambda x: x[:0],
        lambda x: x.sum(),
        lambda x: x.t(),
    ],
    ids=["sparse", "nested", "expanded", "empty", "scalar", "transposed"],
)
def test_outputs_of_every_layout_raise_nothing(make):
    x = leaf(2, 2)
    found = gradients([make(x), x * 1], [x])
    assert found.raised is None
    assert found.values["args[0]"].shape == (2, 2)


def test_gradients_of_the_same_bits_are_the_known_tensors():
    x = leaf(3)
    first = gradients([x * 2], [x])
    again = gradients([x * 2], [x], like=Observation(label="first", gradients=first))
    assert again.values["args[0]"] is first.values["args[0]"]


def test_gradients_of_other_bits_are_not():
    x = leaf(3)
    first = Gradients({"args[0]": torch.zeros(3)})
    again = gradients([x * 2], [x], like=Observation(label="first", gradients=first))
    assert torch.equal(again.values["args[0]"], 2 * WEIGHTS)


@pytest.mark.parametrize("known", [torch.zeros(2), torch.zeros(3, dtype=torch.float64), None])
def test_known_gradients_of_another_shape_or_dtype_are_no_obstacle(known):
    x = leaf(3)
    first = Observation(label="first", gradients=Gradients({"args[0]": known}))
    assert torch.equal(gradients([x * 2], [x], like=first).values["args[0]"], 2 * WEIGHTS)
