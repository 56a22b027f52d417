"""Strategies for a user's own tests."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.export import Dim

from pytest_exportcheck.errors import DeclarationError
from pytest_exportcheck.fuzz import inputs_for, sizes_of

N = Dim("n", min=2, max=9)


class Third(torch.nn.Module):
    def forward(self, x, y):
        return x.view(3, -1).sum() + y


def drawn(strategy, examples=60):
    seen = []

    @settings(max_examples=examples)
    @given(strategy)
    def collect(value):
        seen.append(value)

    collect()
    return seen


def program():
    shapes = ({0: Dim.AUTO}, {0: N})
    return torch.export.export(Third(), (torch.ones(6), torch.ones(4)), dynamic_shapes=shapes)


def test_sizes_of_dynamic_shapes_bear_the_names_of_dims():
    seen = drawn(sizes_of({"x": {0: N, 1: Dim("m", min=5)}, "y": [{0: 2 * N}, None], "z": {0: Dim.AUTO, 1: 7}}))
    assert {tuple(sizes) for sizes in seen} == {("n", "m")}
    assert {sizes["n"] for sizes in seen} == set(range(2, 10))
    assert min(sizes["m"] for sizes in seen) == 5 and max(sizes["m"] for sizes in seen) <= 257


def test_sizes_without_a_bound_end_where_asked():
    assert max(sizes["m"] for sizes in drawn(sizes_of(({0: Dim("m")},), largest=20))) <= 20


def test_sizes_of_a_program_meet_its_guards():
    for sizes in drawn(sizes_of(program())):
        assert sizes["args[0].size(0)"] % 3 == 0 and 2 <= sizes["args[1].size(0)"] <= 9


def test_inputs_of_dynamic_shapes_by_position():
    for args, kwargs in drawn(inputs_for(({0: N}, {0: 2 * N}), (torch.ones(4, 3), torch.arange(8)))):
        assert kwargs == {} and args[0].shape[1] == 3 and len(args[1]) == 2 * len(args[0])


def test_inputs_of_dynamic_shapes_by_name():
    shapes = {"x": {0: N}, "y": {0: 2 * N}}
    for args, _ in drawn(inputs_for(shapes, (torch.ones(4), torch.arange(8)), module=Third())):
        assert len(args[1]) == 2 * len(args[0])
    for _, kwargs in drawn(inputs_for(shapes, kwargs={"x": torch.ones(4), "y": torch.arange(8)})):
        assert len(kwargs["y"]) == 2 * len(kwargs["x"])


def test_inputs_of_a_program_are_what_it_takes():
    exported = program()
    run = exported.module()
    for args, kwargs in drawn(inputs_for(exported), 20):
        run(*args, **kwargs)


def test_layouts_are_drawn_where_asked():
    seen = drawn(inputs_for(({0: N},), (torch.ones(4, 3),), also=("layout",)))
    assert {args[0].is_contiguous() for args, _ in seen} == {True, False}


def test_they_shrink_to_the_smallest_sizes():
    smallest = []

    @settings(max_examples=100)
    @given(sizes_of(({0: N}, {0: Dim("m", max=30)})))
    def fails(sizes):
        if sizes["m"] > 7:
            smallest.append(sizes)
            raise ValueError

    with pytest.raises(ValueError):
        fails()
    assert smallest[-1] == {"n": 2, "m": 8}


def test_a_strategy_is_one():
    assert isinstance(sizes_of(({0: N},)), st.SearchStrategy)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: inputs_for(({0: N},)), "inputs_for needs example arguments: pass args= and kwargs=."),
        (
            lambda: inputs_for(({0: N},), (torch.ones(3),), also=("colour",)),
            "also takes layout, special, dtype, rank, got colour.",
        ),
        (
            lambda: sizes_of(({0: N - 10},)),
            "no size is n 2..9: n would have to be at least 10 and at most 9.",
        ),
    ],
)
def test_what_cannot_be_drawn_says_why(make, message):
    with pytest.raises(DeclarationError) as error:
        make()
    assert str(error.value) == message
