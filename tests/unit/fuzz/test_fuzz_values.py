"""Inputs of other sizes keep everything of the example but the sizes."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass

import pytest
import torch

from pytest_exportcheck.fuzz.inputs import is_resizable, resized
from pytest_exportcheck.harness.tensors.layouts import strides_like
from pytest_exportcheck.records import Inputs

Pair = namedtuple("Pair", "a b")


@dataclass
class Point:
    a: object
    b: object


torch.export.register_dataclass(Point, serialized_type_name="test_fuzz_values.Point")

FIRST = ("args[0]", 0)


def call(*args, **kwargs):
    return Inputs("the example inputs", args, kwargs)


def one(tensor, *sizes, seed=0):
    """The tensor with its first dims of these sizes."""
    dims = {("args[0]", number): size for number, size in enumerate(sizes)}
    return resized(call(tensor), dims, label="", seed=seed).args[0]


def order_of(tensor):
    """The dims from the outermost in memory to the innermost."""
    return sorted(range(tensor.dim()), key=lambda dim: -tensor.stride()[dim])


def test_only_the_given_dims_change():
    made = resized(call(torch.ones(4, 3), torch.ones(4)), {FIRST: 7}, label="b=7", seed=0)
    assert (made.label, made.kwargs) == ("b=7", {})
    assert [tuple(each.shape) for each in made.args] == [(7, 3), (4,)]


@pytest.mark.parametrize(
    "dtype",
    [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.complex64, torch.bool,
     torch.int8, torch.uint8, torch.uint16, torch.int32, torch.int64],
)  # fmt: skip
def test_the_dtype_stays(dtype):
    assert one(torch.ones(4, 3).to(dtype), 7).dtype is dtype


def test_the_device_stays():
    made = one(torch.ones(4, 3, device="meta"), 7)
    assert (made.device.type, tuple(made.shape)) == ("meta", (7, 3))


@pytest.mark.parametrize("flag", [True, False])
def test_requires_grad_stays_and_the_tensor_is_a_leaf(flag):
    made = one(torch.ones(4, 3, requires_grad=flag), 7)
    assert (made.requires_grad, made.is_leaf, made.grad_fn) == (flag, True, None)


def test_what_was_computed_becomes_a_leaf():
    made = one(torch.ones(4, 3, requires_grad=True) * 2, 7)
    assert (made.requires_grad, made.is_leaf) == (True, True)


def test_under_inference_mode_a_tensor_is_made_too():
    with torch.inference_mode():
        assert tuple(one(torch.ones(4, 3), 7).shape) == (7, 3)


@pytest.mark.parametrize(
    ("example", "sizes"),
    [
        (torch.ones(4, 3), (7,)),
        (torch.ones(3, 4).t(), (7,)),
        (torch.ones(2, 3, 4, 5).to(memory_format=torch.channels_last), (6, 3, 8, 9)),
        (torch.ones(1, 3, 4, 5).to(memory_format=torch.channels_last), (6,)),
        (torch.ones(2, 3, 4, 5, 6).to(memory_format=torch.channels_last_3d), (3,)),
        (torch.ones(2, 3, 4).permute(1, 2, 0), (5, 6, 7)),
        (torch.ones(4, 6)[:, ::2], (7,)),
    ],
)
def test_the_order_of_dims_in_memory_stays(example, sizes):
    made = one(example, *sizes)
    assert order_of(made) == order_of(example)


def test_channels_last_stays_channels_last():
    made = one(torch.ones(1, 3, 4, 4).to(memory_format=torch.channels_last), 2)
    assert made.is_contiguous(memory_format=torch.channels_last)
    assert not made.is_contiguous()


def test_a_view_with_gaps_keeps_them():
    assert one(torch.ones(4, 6)[:, ::2], 7).stride() == (6, 2)
    assert one(torch.ones(4, 6)[:, :3], 7, 5).stride() == (6, 1)


def test_an_expanded_tensor_stays_expanded():
    made = one(torch.rand(1, 3).expand(4, 3), 7)
    assert made.stride() == (0, 1)
    assert made.shape == (7, 3)


@pytest.mark.parametrize("shape", [(4, 3), (1, 4), (4, 1), (1, 1), (2, 1, 4), (0, 3), (3, 0), (2, 0, 3), (5,), ()])
def test_a_contiguous_tensor_has_the_strides_of_one(shape):
    tensor = torch.empty(shape)
    assert strides_like(tensor, shape) == tensor.stride()


def test_strides_are_those_of_the_other_shape():
    assert strides_like(torch.empty(4, 3), (7, 5)) == (5, 1)
    assert strides_like(torch.empty(3, 4).t(), (7, 5)) == (1, 7)
    assert strides_like(torch.empty(3, 4).t(), (0, 5)) == (1, 1)


def test_elements_are_those_of_the_example():
    made = one(torch.tensor([3, 8, 9]), 100)
    assert set(made.tolist()) == {3, 8, 9}


def test_of_a_permuted_example_too():
    assert set(one(torch.arange(6).reshape(2, 3).t(), 50, 2).flatten().tolist()) == set(range(6))


def test_an_empty_example_gives_zeros():
    assert one(torch.empty(0, 3), 2).tolist() == [[0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("example", [torch.ones(4, 3), torch.ones(3, 4).t(), torch.empty(0, 3)])
def test_a_size_may_be_zero(example):
    made = one(example, 0, 5)
    assert (tuple(made.shape), made.numel()) == ((0, 5), 0)


def test_at_its_own_size_a_tensor_is_the_examples():
    example = torch.randn(4, 3)
    assert one(example, 4) is example


def test_one_tensor_that_is_passed_twice_stays_one():
    x = torch.ones(4, 3)
    dims = {FIRST: 7, ("kwargs['y']", 0): 7}
    made = resized(call(x, y=x), dims, label="", seed=0)
    assert made.args[0] is made.kwargs["y"]


def test_unless_its_sizes_differ():
    x = torch.ones(4, 3)
    made = resized(call(x, x), {FIRST: 7, ("args[1]", 0): 5}, label="", seed=0)
    assert [each.shape[0] for each in made.args] == [7, 5]


def test_two_tensors_stay_two():
    made = resized(call(torch.arange(90), torch.arange(90)), {FIRST: 50, ("args[1]", 0): 50}, label="", seed=0)
    assert made.args[0] is not made.args[1]
    assert made.args[0].tolist() != made.args[1].tolist()


@pytest.mark.parametrize(
    ("value", "place", "get"),
    [
        ({"p": [torch.ones(4), 3]}, "args[0]['p'][0]", lambda made: made["p"][0]),
        ((None, [torch.ones(4)]), "args[0][1][0]", lambda made: made[1][0]),
        (Pair(1, torch.ones(4)), "args[0].b", lambda made: made.b),
        (Point(torch.ones(2), torch.ones(4)), "args[0].b", lambda made: made.b),
        (Point(None, torch.ones(4)), "args[0].b", lambda made: made.b),
    ],
)
def test_containers_are_followed_and_stay_what_they_are(value, place, get):
    made = resized(call(value, flag=True), {(place, 0): 7}, label="", seed=0)
    assert type(made.args[0]) is type(value)
    assert (get(made.args[0]).shape[0], get(value).shape[0]) == (7, 4)
    assert made.kwargs == {"flag": True}


def test_keywords_keep_their_order():
    made = resized(call(y=torch.ones(2), x=torch.ones(4)), {("kwargs['x']", 0): 7}, label="", seed=0)
    assert list(made.kwargs) == ["y", "x"]
    assert made.kwargs["x"].shape[0] == 7


def test_one_seed_gives_the_same_values_and_another_others():
    example = torch.randn(50)
    assert one(example, 40, seed=1).equal(one(example, 40, seed=1))
    assert not one(example, 40, seed=1).equal(one(example, 40, seed=2))


def test_the_generators_of_the_process_are_left_alone():
    before = torch.random.get_rng_state()
    one(torch.ones(4), 7)
    assert torch.random.get_rng_state().equal(before)


@pytest.mark.parametrize(
    ("leaf", "expected"),
    [
        (torch.ones(2), True),
        (torch.tensor(1.0), True),
        (torch.nn.Parameter(torch.ones(2)), True),
        (torch.eye(2).to_sparse(), False),
        (3, False),
        (None, False),
        ("text", False),
    ],
)
def test_what_can_be_made_anew(leaf, expected):
    assert is_resizable(leaf) is expected


@pytest.mark.parametrize("leaf", [torch.eye(4).to_sparse(), 3, "text", None])
def test_what_cannot_be_made_anew_stays(leaf):
    assert one(leaf, 7) is leaf
