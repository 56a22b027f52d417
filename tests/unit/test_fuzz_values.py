"""Inputs of other sizes, and what else can be drawn of them."""

from __future__ import annotations

from collections import namedtuple

import pytest
import torch

from pytest_exportcheck.fuzz.values import resized, strides_like
from pytest_exportcheck.fuzz.variations import GROUPS, variations_of, varied
from pytest_exportcheck.records import Inputs

Point = namedtuple("Point", "x y")


def one(tensor, **sizes):
    """A tensor with dims of these sizes: ``d0=3``."""
    dims = {("args[0]", int(name[1:])): size for name, size in sizes.items()}
    return resized(Inputs("", (tensor,), {}), dims, label="", seed=1).args[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool])
@pytest.mark.parametrize("size", [0, 1, 3, 10])
def test_dtype_and_the_range_of_values_are_kept(dtype, size):
    example = torch.tensor([0, 1, 1, 0, 1]).to(dtype)
    made = one(example, d0=size)
    assert made.dtype == dtype and made.shape == (size,)
    assert set(made.tolist()) <= set(example.tolist())


def test_requires_grad_is_kept_and_the_example_left_alone():
    example = torch.ones(3, requires_grad=True)
    made = one(example, d0=5)
    assert made.requires_grad and made.is_leaf and example.shape == (3,)


@pytest.mark.parametrize(
    ("example", "order"),
    [
        (torch.ones(2, 3, 4, 5), [0, 1, 2, 3]),
        (torch.ones(2, 3, 4, 5).to(memory_format=torch.channels_last), [0, 2, 3, 1]),
        (torch.ones(3, 2).t(), [1, 0]),
        (torch.ones(2, 1, 4), [0, 1, 2]),
    ],
)
def test_dims_lie_in_memory_as_those_of_the_example(example, order):
    made = one(example, d0=7)
    assert made.shape == (7, *example.shape[1:])
    assert sorted(range(example.dim()), key=lambda dim: (-made.stride(dim), -made.size(dim), dim)) == order
    assert made.numel() == made.untyped_storage().nbytes() // 4


def test_strides_of_an_empty_tensor():
    assert strides_like(torch.ones(2, 3), (0, 4)) == (4, 1)


def test_an_empty_example_gives_zeros():
    assert one(torch.ones(0, 3), d0=2).tolist() == [[0.0] * 3] * 2


def test_the_same_seed_gives_the_same_values_and_another_others():
    example = Inputs("", (torch.arange(100),), {})
    made = [resized(example, {("args[0]", 0): 50}, label="", seed=seed).args[0].tolist() for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]


def test_one_tensor_passed_twice_stays_one():
    example = torch.ones(3)
    dims = {("args[0]", 0): 4, ("args[1]", 0): 4, ("kwargs['z']", 0): 5}
    made = resized(Inputs("", (example, example), {"z": example}), dims, label="", seed=1)
    assert made.args[0] is made.args[1] is not made.kwargs["z"]


def test_tensors_in_containers_have_their_places():
    call = Inputs("", ({"a": [torch.ones(2)]}, Point(torch.ones(2), 3)), {"k": (torch.ones(2),)})
    dims = {("args[0]['a'][0]", 0): 3, ("args[1].x", 0): 4, ("kwargs['k'][0]", 0): 5}
    made = resized(call, dims, label="now", seed=1)
    assert made.args[0]["a"][0].shape == (3,) and made.args[1].x.shape == (4,) and made.kwargs["k"][0].shape == (5,)
    assert made.args[1].y == 3 and made.label == "now"


def test_what_keeps_its_size_is_the_very_tensor():
    example = torch.ones(3)
    assert one(example, d0=3) is example


def test_a_sparse_tensor_stays_as_it_is():
    example = torch.eye(3).to_sparse()
    assert one(example, d0=5) is example


CALL = Inputs("n=2", (torch.arange(48.0).reshape(2, 3, 4, 2), torch.arange(6).reshape(2, 3)), {})


def each_of(*groups):
    return [
        pytest.param(place, variation, id=f"{place} {variation.name}")
        for place, variation in variations_of(CALL, frozenset(groups))
    ]


@pytest.mark.parametrize(("place", "variation"), each_of("layout"))
def test_a_layout_changes_strides_and_no_values(place, variation):
    number = int(place[5])
    made, was = varied(CALL, place, variation).args[number], CALL.args[number]
    assert made.shape == was.shape and made.dtype == was.dtype
    assert (made.stride(), made.storage_offset()) != (was.stride(), was.storage_offset())
    assert torch.equal(made, was) != variation.name.startswith("expanded")


@pytest.mark.parametrize(("place", "variation"), each_of("special"))
def test_special_values_are_put_among_the_others(place, variation):
    made = varied(CALL, place, variation).args[0]
    changed = ~((made == CALL.args[0]) & (made.signbit() == CALL.args[0].signbit()))
    assert 0 < int(changed.sum()) < made.numel() and made.shape == CALL.args[0].shape


@pytest.mark.parametrize(("place", "variation"), each_of("dtype", "rank"))
def test_of_dtypes_and_ranks_nothing_is_declared(place, variation):
    number = int(place[5])
    made, was = varied(CALL, place, variation).args[number], CALL.args[number]
    assert not variation.declared and (made.dtype, made.dim()) != (was.dtype, was.dim())


def test_a_variation_is_named_in_the_label():
    place, variation = variations_of(CALL, frozenset({"layout"}))[0]
    assert varied(CALL, place, variation).label == "n=2, args[0] every second element of a tensor"


def test_where_it_does_not_fit_nothing_changes():
    """Sizes are drawn after the variations are listed: a dim may be empty by then."""
    empty = Inputs("", (torch.ones(0, 3),), {})
    for variation in GROUPS["layout"] + GROUPS["rank"]:
        assert varied(empty, "args[0]", variation).args[0].numel() == 0
