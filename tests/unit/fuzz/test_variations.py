"""Each variation changes what it says, and nothing else."""

from __future__ import annotations

import math

import pytest
import torch

from pytest_exportcheck.fuzz.perturbations import GROUPS, variations_of, varied
from pytest_exportcheck.options import ALSO
from pytest_exportcheck.records import Inputs

BY_NAME = {each.name: each for group in GROUPS.values() for each in group}
LAYOUT = [each.name for each in GROUPS["layout"]]
SPECIAL = [each.name for each in GROUPS["special"]]


def call(*args, **kwargs):
    return Inputs("b=4", args, kwargs)


def changed(tensor, name):
    return varied(call(tensor), "args[0]", BY_NAME[name]).args[0]


def names_of(tensor, *groups):
    return [variation.name for _, variation in variations_of(call(tensor), frozenset(groups))]


def image():
    return torch.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)


def test_there_is_a_group_for_each_word_of_the_option():
    assert tuple(GROUPS) == ALSO


def test_only_the_groups_that_are_asked_for_are_drawn():
    assert variations_of(call(image()), frozenset()) == []
    assert names_of(image(), "layout") == LAYOUT
    assert names_of(image(), "special") == SPECIAL
    assert names_of(image(), "special", "layout") == [*LAYOUT, *SPECIAL]


def test_every_tensor_has_its_variations_at_its_place():
    given = call(torch.ones(2), 3, {"k": torch.ones(2)}, x=torch.ones(2))
    places = {place for place, _ in variations_of(given, frozenset(ALSO))}
    assert places == {"args[0]", "args[2]['k']", "kwargs['x']"}


@pytest.mark.parametrize("name", BY_NAME)
def test_the_label_names_place_and_variation(name):
    assert varied(call(image()), "args[0]", BY_NAME[name]).label == f"b=4, args[0] {name}"


@pytest.mark.parametrize("name", BY_NAME)
def test_only_the_tensor_at_the_place_changes_and_not_the_given_one(name):
    x, y, z = image(), image(), image()
    given = torch.int16 if "int" in name else torch.float32
    x, y, z = x.to(given), y.to(given), z.to(given)
    before = y.clone()
    made = varied(call(x, [y], 3, z=z), "args[1][0]", BY_NAME[name])
    assert made.args[0] is x
    assert made.kwargs["z"] is z
    assert made.args[2] == 3
    assert made.args[1][0] is not y
    assert y.equal(before)


@pytest.mark.parametrize("name", [*LAYOUT, *SPECIAL])
@pytest.mark.parametrize("flag", [True, False])
def test_dtype_shape_and_gradient_flag_stay(name, flag):
    x = image().requires_grad_(flag)
    made = changed(x, name)
    assert (made.dtype, made.shape, made.requires_grad, made.is_leaf) == (x.dtype, x.shape, flag, True)


@pytest.mark.parametrize("name", [each for each in LAYOUT if each != "expanded from its first row"])
@pytest.mark.parametrize("example", [image(), image().transpose(1, 3), image().long(), image() > 7, image()[:, ::2]])
def test_another_layout_holds_the_same_values(name, example):
    assert changed(example, name).equal(example)


def test_every_second_element_has_gaps():
    assert changed(torch.ones(4, 3), "as every second element of a wider tensor").stride() == (6, 2)


def test_the_last_dim_is_outermost():
    assert changed(torch.ones(4, 3, 2), "with its last dim outermost in memory").stride() == (3, 1, 12)


def test_channels_last_is():
    assert changed(image(), "in channels_last").is_contiguous(memory_format=torch.channels_last)


def test_an_expanded_tensor_has_one_row_in_memory():
    made = changed(torch.arange(6).reshape(3, 2), "expanded from its first row")
    assert (made.stride(), made.tolist()) == ((0, 1), [[0, 1]] * 3)


@pytest.mark.parametrize("example", [torch.ones(4, 3), torch.ones(3, 4).t(), image().transpose(1, 3), torch.ones(())])
def test_an_offset_changes_no_strides(example):
    made = changed(example, "at a storage offset of 3")
    assert (made.storage_offset(), made.stride()) == (3, example.stride())


@pytest.mark.parametrize(
    ("name", "is_special"),
    [
        ("with inf", lambda each: each == math.inf),
        ("with -inf", lambda each: each == -math.inf),
        ("with nan", math.isnan),
        ("with -0.0", lambda each: each == 0 and math.copysign(1, each) < 0),
    ],
)
def test_special_values_stand_beside_the_others(name, is_special):
    special = [is_special(each) for each in changed(torch.ones(3, 7), name).flatten().tolist()]
    assert special == [number % 7 == 0 for number in range(21)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_denormals_are_denormal_in_every_dtype(dtype):
    values = changed(torch.ones(3, 7, dtype=dtype), "with denormals").flatten().double()
    assert [0 < each < torch.finfo(dtype).smallest_normal for each in values.tolist()] == [
        number % 7 == 0 for number in range(21)
    ]


@pytest.mark.parametrize("name", SPECIAL)
def test_an_empty_tensor_has_no_special_values(name):
    assert changed(torch.ones(0, 3), name).shape == (0, 3)


@pytest.mark.parametrize("name", [each.name for each in GROUPS["dtype"]])
def test_another_dtype_holds_the_same_numbers_and_is_not_declared(name):
    dtype = getattr(torch, name.removeprefix("as "))
    example = torch.arange(4, dtype=torch.float32 if dtype.is_floating_point else torch.int16)
    made = changed(example, name)
    assert (made.dtype, made.tolist()) == (dtype, example.tolist())
    assert not BY_NAME[name].declared


def test_another_rank_is_not_declared():
    assert [each.declared for each in GROUPS["rank"]] == [False, False]
    assert changed(torch.ones(4, 3), "with one more dim in front").shape == (1, 4, 3)
    assert changed(torch.arange(4), "without its first dim").tolist() == 0


def test_layouts_and_special_values_are_declared():
    assert all(BY_NAME[name].declared for name in (*LAYOUT, *SPECIAL))


@pytest.mark.parametrize(
    ("tensor", "missing"),
    [
        (torch.ones(4, 3), {"in channels_last"}),
        (torch.ones(4), {"in channels_last", "with its last dim outermost in memory"}),
        (torch.ones(0, 3), {"in channels_last", "expanded from its first row"}),
        (torch.tensor(1.0), {*LAYOUT} - {"at a storage offset of 3"}),
    ],
)
def test_layouts_fit_where_there_are_dims_for_them(tensor, missing):
    assert {*LAYOUT} - {*names_of(tensor, "layout")} == missing


@pytest.mark.parametrize("tensor", [torch.ones(4).long(), torch.ones(4) > 0, torch.ones(4) * 1j, torch.ones(4, 3).t()])
def test_special_values_are_for_dense_floats(tensor):
    assert names_of(tensor, "special") == []


@pytest.mark.parametrize(
    ("dtype", "names"),
    [
        (torch.float32, ["as float64", "as float16", "as bfloat16"]),
        (torch.float64, ["as float16", "as bfloat16"]),
        (torch.int64, ["as int32"]),
        (torch.uint8, ["as int32", "as int64"]),
        (torch.bool, []),
        (torch.complex64, []),
    ],
)
def test_a_dtype_becomes_another_of_its_kind(dtype, names):
    assert names_of(torch.ones(4).to(dtype), "dtype") == names


def test_a_rank_of_zero_can_only_grow():
    assert names_of(torch.tensor(1.0), "rank") == ["with one more dim in front"]
    assert names_of(torch.ones(0, 3), "rank") == ["with one more dim in front"]


@pytest.mark.parametrize("leaf", [torch.eye(2).to_sparse(), 3, None])
def test_other_leaves_have_no_variations(leaf):
    assert names_of(leaf, *ALSO) == []


def test_where_a_variation_does_not_fit_the_tensor_stays():
    x = torch.ones(0, 3)
    assert changed(x, "expanded from its first row") is x
