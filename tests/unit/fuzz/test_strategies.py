"""Strategies for a user's own tests: declared sizes, and arguments that have them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample
from torch.export import Dim

from pytest_exportcheck.errors import DeclarationError
from pytest_exportcheck.fuzz import inputs_for, sizes_of
from pytest_exportcheck.records import Interval

B, W = Dim("b", min=2, max=5), Dim("w", min=1, max=3)
X = torch.arange(12.0).reshape(4, 3)


class Net(torch.nn.Module):
    def forward(self, x, y=None, *, scale=1): ...


class Even(torch.nn.Module):
    def forward(self, x, y):
        return x.reshape(2, x.shape[0] // 2, 3) if x.shape[0] != 6 else x, y


def drawn(strategy, number=40):
    """Values of a strategy."""

    @settings(
        max_examples=number,
        database=None,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(value):
        found.append(value)

    found: list[Any] = []
    collect()
    return found


def shapes(strategy, number=40):
    """The shapes of the arguments that are drawn."""
    return {
        tuple(tuple(each.shape) for each in (*args, *kwargs.values()) if isinstance(each, torch.Tensor))
        for args, kwargs in drawn(strategy, number)
    }


def even():
    return torch.export.export(
        Even(), (X, torch.ones(4)), dynamic_shapes=({0: Dim.AUTO(max=10)}, {0: Dim("n", min=2, max=5)})
    )


@pytest.mark.parametrize(
    "source",
    [
        ({0: B, 1: W}, None),
        {"x": {0: B, 1: W}},
        {"x": [B, W], "y": {0: 4}},
        [{"k": ({0: B}, {0: 2 * W})}],
        {"x": {0: B + 1, 1: Dim.AUTO}, "y": (Dim.STATIC, W, None)},
    ],
)
def test_sizes_are_those_of_the_dims_by_name(source):
    found = drawn(sizes_of(source), 100)
    assert {tuple(sorted(each.items())) for each in found} == {
        (("b", b), ("w", w)) for b in range(2, 6) for w in range(1, 4)
    }


@pytest.mark.parametrize("source", [None, (), {}, ({0: Dim.AUTO},), ({0: 4},), {"x": None}])
def test_what_names_no_dim_has_no_sizes(source):
    assert drawn(sizes_of(source), 3) == [{}]


def test_a_size_without_an_upper_bound_has_a_largest_one():
    assert {each["c"] for each in drawn(sizes_of(({0: Dim("c")},), largest=4))} == set(range(5))
    assert max(each["c"] for each in drawn(sizes_of(({0: Dim("c")},)), 200)) <= 257


def test_where_the_lower_bound_is_larger_it_is_the_only_size():
    assert drawn(sizes_of(({0: Dim("c", min=300)},)), 5) == [{"c": 300}]


def test_bounds_go_before_the_largest():
    assert {each["b"] for each in drawn(sizes_of(({0: B},), largest=3))} == {2, 3, 4, 5}


def test_sizes_shrink_to_the_smallest():
    assert find(sizes_of(({0: B, 1: W},)), lambda sizes: sizes["b"] > 2) == {"b": 3, "w": 1}


def test_sizes_of_derived_dims_are_none_below_zero():
    assert {each["c"] for each in drawn(sizes_of(({0: Dim("c", max=5) - 3},)))} == {3, 4, 5}


def test_shapes_that_admit_no_size_are_refused():
    with pytest.raises(DeclarationError) as raised:
        sizes_of(({0: Dim("c", max=2) - 3},))
    assert str(raised.value) == "no size satisfies c 0..2: c would have to be at least 3 and at most 2."


@pytest.mark.parametrize("source", ["b", 3, torch.nn.Identity(), torch.export.ShapesCollection(), Interval(0, 1)])
@pytest.mark.parametrize("make", [sizes_of, lambda source: inputs_for(source, (X,))])
def test_what_is_no_source_of_sizes_is_refused(make, source):
    with pytest.raises(DeclarationError) as raised:
        make(source)
    assert str(raised.value) == (
        f"the first argument must be an ExportedProgram, or dynamic shapes as a dict, a tuple or a list, got {source!r}."
    )


def test_sizes_of_a_program_are_those_that_its_ranges_and_guards_admit():
    found = {tuple(each.values()) for each in drawn(sizes_of(even()), 100)}
    assert list(drawn(sizes_of(even()), 1)[0]) == ["args[0].size(0)", "args[1].size(0)"]
    assert {x for x, _ in found} <= {2, 4, 8, 10}
    assert {4, 8, 10} <= {x for x, _ in found}


@pytest.mark.parametrize("source", [({0: B}, {0: 2 * B}), [[B, None], (2 * B,)], ((B, 3), {0: 2 * B})])
def test_arguments_have_declared_sizes_by_position(source):
    assert shapes(inputs_for(source, (X, torch.ones(8)))) == {((b, 3), (2 * b,)) for b in range(2, 6)}


def test_arguments_are_a_tuple_and_a_dict_as_in_the_example():
    found = drawn(inputs_for(({0: B}, None, None), (X, 5), {"scale": 2}))
    assert {(args[1], kwargs["scale"]) for args, kwargs in found} == {(5, 2)}
    assert all(isinstance(args, tuple) and isinstance(kwargs, dict) for args, kwargs in found)


def test_keyword_arguments_go_by_their_names():
    assert shapes(inputs_for({"y": {0: B}}, kwargs={"y": X})) == {((b, 3),) for b in range(2, 6)}


def test_positional_arguments_go_by_the_names_of_the_modules_parameters():
    strategy = inputs_for({"y": {0: B}, "x": None}, (X, X.clone()), module=Net())
    assert shapes(strategy) == {((4, 3), (b, 3)) for b in range(2, 6)}


@pytest.mark.parametrize("source", [{"y": {0: B}}, {"z": {0: Dim.AUTO}}])
def test_names_that_no_argument_has_are_refused(source):
    with pytest.raises(DeclarationError) as raised:
        inputs_for(source, (X,))
    assert str(raised.value) == (
        "none of the dynamic dims belongs to these arguments. If the dynamic shapes use the names of parameters, "
        "pass module=."
    )


@pytest.mark.parametrize("source", [None, (None,), {"x": None}, ({0: 4},), ({0: Dim.STATIC},)])
def test_what_declares_nothing_leaves_the_arguments_as_they_are(source):
    assert shapes(inputs_for(source, (X,)), 3) == {((4, 3),)}


def test_arguments_of_a_program_are_its_own_example_resized():
    found = shapes(inputs_for(even()), 100)
    assert {x[0] for x, _ in found} <= {2, 4, 8, 10}
    assert len(found) > 3


def test_or_others():
    values = {
        value
        for args, _ in drawn(inputs_for(even(), (torch.full((4, 3), 7.0), X[:, 0])))
        for value in args[0].unique().tolist()
    }
    assert values == {7}


def test_values_and_dtype_are_those_of_the_example():
    for args, _ in drawn(inputs_for(({0: B},), (torch.tensor([[3, 8]]).expand(4, 2),))):
        assert args[0].dtype is torch.int64
        assert set(args[0].flatten().tolist()) <= {3, 8}


def test_a_seed_gives_values():
    def values(seed):
        strategy = inputs_for(({0: Dim("b", min=8, max=9)},), (torch.randn(200),), seed=seed)
        return drawn(strategy, 1)[0][0][0].tolist()

    torch.manual_seed(0)
    one = values(1)
    torch.manual_seed(0)
    assert values(1) == one
    torch.manual_seed(0)
    assert values(2) != one


def test_sizes_of_large_inputs_are_limited():
    strategy = inputs_for(({0: Dim("b", min=2, max=10**6)},), (torch.ones(2, 2**12),))
    assert max(x[0] for (x,) in shapes(strategy, 40)) <= 64


def test_large_sizes_are_not_drawn_together():
    spec = {0: Dim("b", min=2, max=10**3), 1: Dim("w", min=2, max=10**6)}
    assert max(b * w for ((b, w),) in shapes(inputs_for((spec,), (torch.ones(2, 2**10),)), 30)) <= 2**18


def test_layouts_and_special_values_are_drawn_on_request():
    strategy = inputs_for(({0: B},), (torch.ones(4, 3),), also=("layout", "special"))
    found = [args[0] for args, _ in drawn(strategy, 300)]
    assert any(not each.is_contiguous() for each in found)
    assert any(each.isnan().any() for each in found)
    assert any(each.is_contiguous() and each.eq(1).all() for each in found)
    plain = [args[0] for args, _ in drawn(inputs_for(({0: B},), (torch.ones(4, 3),)))]
    assert all(each.is_contiguous() and each.eq(1).all() for each in plain)


def test_arguments_shrink_to_the_smallest_without_a_variation():
    args, _ = find(inputs_for(({0: B},), (X,), also=("layout",)), lambda call: call[0][0].shape[0] > 2)
    assert (args[0].shape[0], args[0].is_contiguous(), args[0].storage_offset()) == (3, True, 0)


def test_no_other_sizes_are_found():
    with pytest.raises(NoSuchExample):
        find(inputs_for(({0: B},), (X,)), lambda call: not 2 <= call[0][0].shape[0] <= 5)


def test_without_example_arguments_there_is_nothing_to_resize():
    with pytest.raises(DeclarationError) as raised:
        inputs_for(({0: B},))
    assert str(raised.value) == "inputs_for needs example arguments: pass args= and kwargs=."


def test_a_program_without_example_arguments_needs_some():
    program = even()
    program._example_inputs = None
    with pytest.raises(DeclarationError, match=r"^inputs_for needs example arguments: pass args= and kwargs=.$"):
        inputs_for(program)
    assert shapes(inputs_for(program, (X, torch.ones(4))), 5)


def test_unknown_words_in_also_are_refused():
    with pytest.raises(DeclarationError) as raised:
        inputs_for(({0: B},), (X,), also=("layout", "size", "color"))
    assert str(raised.value) == "also takes layout, special, dtype, rank, got color, size."


def test_arguments_of_no_size_are_refused():
    with pytest.raises(DeclarationError) as raised:
        inputs_for(({0: Dim("c", max=2) - 3},), (torch.ones(0),))
    assert str(raised.value) == "no size satisfies c 0..2: c would have to be at least 3 and at most 2."


def test_they_are_strategies():
    assert isinstance(sizes_of(({0: B},)), st.SearchStrategy)
    assert isinstance(inputs_for(({0: B},), (X,)), st.SearchStrategy)
