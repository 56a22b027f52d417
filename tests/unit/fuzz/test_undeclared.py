"""Ways out of what is declared: beyond bounds, out of relations, and static dims at other sizes."""

from __future__ import annotations

import pytest
import torch
from torch.export import Dim

from pytest_exportcheck.describe import declared_dims
from pytest_exportcheck.fuzz.outside import Direction, directions, is_declared
from pytest_exportcheck.fuzz.size_facts import declared_facts
from pytest_exportcheck.records import Inputs

B = Dim("b", min=2, max=10)
ONE, TWO = ("args[0]", 0), ("args[1]", 0)


class Net(torch.nn.Module):
    def forward(self, x, y=None, z=None): ...


def ways(*sizes, shapes=(), usual=None):
    """What every way out sets the dims to, by what it is about. Each argument has one dim; its size is 4 unless given."""
    given = [torch.ones(shapes[number] if shapes else 4) for number, _ in enumerate(sizes)]
    call = Inputs("", tuple(given), {})
    found = directions(facts_of(call, sizes), call, {"b": 4} if usual is None else usual)
    return [(way.about, [way.at(step) for step in range(1, way.steps + 1)]) for way in found]


def facts_of(call, sizes):
    specs = tuple(None if size is None else {0: size} for size in sizes)
    return declared_facts(declared_dims(Net(), call, specs))


def along(dim, *sizes):
    return [{dim: size} for size in sizes]


def test_a_direction_goes_step_by_step():
    way = Direction("b", True, {ONE: 10, TWO: 21}, {ONE: 1, TWO: 2}, 3)
    assert [way.at(step) for step in (1, 2, 3)] == [{ONE: 11, TWO: 23}, {ONE: 12, TWO: 25}, {ONE: 13, TWO: 27}]


def test_a_dim_leaves_its_bounds_on_both_sides():
    assert ways(B) == [("b", along(ONE, 1, 0)), ("b", along(ONE, *range(11, 19)))]


def test_there_is_no_size_below_zero():
    assert ways(Dim("b", min=0, max=10)) == [("b", along(ONE, *range(11, 19)))]


def test_there_is_nothing_beyond_no_bound():
    assert ways(Dim("b")) == []
    assert ways(Dim("b", min=3)) == [("b", along(ONE, 2, 1, 0))]


def test_far_below_there_are_as_many_steps_as_far_above():
    assert [len(sizes) for _, sizes in ways(Dim("b", min=50, max=90))] == [8, 8]


def test_dims_of_one_root_leave_together_and_apart():
    assert ways(B, B)[:2] == [
        ("b", [{ONE: 1, TWO: 1}, {ONE: 0, TWO: 0}]),
        ("b", [{ONE: size, TWO: size} for size in range(11, 19)]),
    ]
    assert ways(B, B)[2:] == [
        ("args[0].size(0) alone", along(ONE, *range(5, 13))),
        ("args[0].size(0) alone", along(ONE, 3, 2, 1, 0)),
        ("args[1].size(0) alone", along(TWO, *range(5, 13))),
        ("args[1].size(0) alone", along(TWO, 3, 2, 1, 0)),
    ]


def test_a_derived_dim_leaves_with_its_root():
    found = ways(B, 2 * B + 1, shapes=(4, 9))
    assert found[0] == ("b", [{ONE: 1, TWO: 3}, {ONE: 0, TWO: 1}])
    assert found[1][1][:2] == [{ONE: 11, TWO: 23}, {ONE: 12, TWO: 25}]


def test_a_derived_dim_may_be_alone_apart_from_its_factor():
    assert ways(2 * B, shapes=(8,))[2:] == [
        ("args[0].size(0) alone", along(ONE, *range(9, 17))),
        ("args[0].size(0) alone", along(ONE, *range(7, -1, -1))),
    ]


@pytest.mark.parametrize("derived", [B - 2, B - 1, Dim("b", min=0, max=9) - 3, Dim("b", min=3, max=9) - 3])
def test_no_way_leads_to_a_negative_size(derived):
    found = ways(derived, shapes=(1,), usual={"b": 4})
    assert found
    assert all(size >= 0 for _, many in found for sizes in many for size in sizes.values())


@pytest.mark.parametrize("size", [None, 4, Dim.STATIC])
def test_a_static_dim_has_one_size(size):
    assert ways(size) == [
        ("args[0].size(0) alone", along(ONE, *range(5, 13))),
        ("args[0].size(0) alone", along(ONE, 3, 2, 1, 0)),
    ]


def test_a_static_dim_of_size_zero_can_only_grow():
    assert ways(None, shapes=(0,)) == [("args[0].size(0) alone", along(ONE, *range(1, 9)))]


@pytest.mark.parametrize("hint", [Dim.AUTO, Dim.DYNAMIC, Dim.DYNAMIC(min=2, max=6)])
def test_a_hint_has_no_outside(hint):
    assert ways(hint) == []


def test_static_dims_of_every_tensor_are_left_and_nothing_else_is():
    call = Inputs("", (torch.ones(2, 3), 5, torch.eye(2).to_sparse()), {"y": {"k": torch.ones(1)}})
    found = directions(declared_facts(()), call, {})
    assert {way.about for way in found} == {
        "args[0].size(0) alone",
        "args[0].size(1) alone",
        "kwargs['y']['k'].size(0) alone",
    }


def declares(sizes, **dims):
    """Whether dims of arguments with these first dims are declared: each 4 in the example, or as derived."""
    derived = [each.fn(4) if hasattr(each, "fn") else 4 for each in sizes]
    call = Inputs("", tuple(torch.ones(size or 4) for size in derived), {})
    named = {"one": ONE, "two": TWO}
    return is_declared(facts_of(call, sizes), {named[name]: size for name, size in dims.items()}, call)


@pytest.mark.parametrize(("size", "declared"), [(1, False), (2, True), (10, True), (11, False)])
def test_what_lies_within_the_bounds_is_declared(size, declared):
    assert declares([B], one=size) is declared


@pytest.mark.parametrize(("size", "declared"), [(3, False), (4, True), (7, False), (8, True), (20, True), (22, False)])
def test_a_derived_dim_is_declared_where_its_root_is(size, declared):
    assert declares([2 * B], one=size) is declared


@pytest.mark.parametrize(
    ("one", "two", "declared"), [(5, 5, True), (5, 4, False), (4, 4, True), (11, 11, False), (1, 1, False)]
)
def test_dims_of_one_root_are_declared_together(one, two, declared):
    assert declares([B, B], one=one, two=two) is declared


def test_dims_that_are_not_given_are_as_in_the_example():
    assert declares([B, B], one=4)
    assert not declares([B, B], one=5)


@pytest.mark.parametrize(("two", "declared"), [(11, True), (10, False), (9, False)])
def test_a_derived_dim_is_declared_with_its_root(two, declared):
    assert declares([B, 2 * B + 1], one=5, two=two) is declared


def test_another_size_of_a_static_dim_is_never_declared():
    assert not declares([B, None], two=4)


def test_every_other_step_along_a_lone_derived_dim_is_declared():
    call = Inputs("", (torch.ones(8),), {})
    facts = facts_of(call, [2 * B])
    (_, _, longer, shorter) = directions(facts, call, {"b": 4})
    assert [is_declared(facts, longer.at(step), call) for step in (1, 2, 3, 4)] == [False, True, False, True]
    assert [is_declared(facts, shorter.at(step), call) for step in (1, 2, 3, 4, 5, 6)] == [
        False,
        True,
        False,
        True,
        False,
        False,
    ]
