"""Sizes of specifications: drawn within ranges and assumptions, and out of them."""

from __future__ import annotations

import torch
from hypothesis import given
from torch.fx.experimental.dynamic_spec import IntVar, ParamsSpec, ShapesSpec, ShapeVar, TensorSpec

from pytest_exportcheck.describe import declared_dims
from pytest_exportcheck.fuzz import inputs_for, sizes_of
from pytest_exportcheck.fuzz.outside import directions, is_declared
from pytest_exportcheck.fuzz.size_facts import declared_facts
from pytest_exportcheck.fuzz.solver import solve
from pytest_exportcheck.records import Inputs

A, B, N = ShapeVar("a", min=2, max=9), ShapeVar("b", min=1, max=30), IntVar("n", min=-5, max=50)


class Net(torch.nn.Module):
    def forward(self, x, y=None, z=None): ...


def ones(size):
    return torch.ones(size)


def facts_of(args, *sizes, assumptions=()):
    params = ParamsSpec({name: TensorSpec([size]) for name, size in zip("xyz", sizes, strict=False)})
    call = Inputs("", args, {})
    return declared_facts(declared_dims(Net(), call, ShapesSpec(params, assumptions=assumptions))), call


def test_ranges_relations_and_assumptions_are_facts():
    facts, _ = facts_of((ones(4), ones(5), ones(9)), A, B, A + B, assumptions=[A % 2 == 0, A <= B])
    assert str(facts) == "a 2..9, b 1..30; a + b >= 0; Eq(Mod(a, 2), 0); a <= b"
    assert facts.at({"a": 4, "b": 7}) == {("args[0]", 0): 4, ("args[1]", 0): 7, ("args[2]", 0): 11}
    (a, _), filters = (domain := solve(facts)).axes, domain.filters
    assert (a.first, a.step, a.last, [*map(str, filters)]) == (2, 2, 9, ["a + b >= 0", "a <= b"])


def test_an_assumption_has_an_outside_next_to_the_example():
    facts, call = facts_of((ones(4), ones(8)), A, A * 2, assumptions=[A % 2 == 0])
    ways = {way.about: way.at(1) for way in directions(facts, call, {"a": 4})}
    assert ways["Eq(Mod(a, 2), 0)"] == {("args[0]", 0): 5, ("args[1]", 0): 10}
    assert [way.steps for way in directions(facts, call, {"a": 4}) if way.about == "Eq(Mod(a, 2), 0)"] == [1]


def test_sizes_of_several_variables_are_declared_if_all_dims_agree():
    facts, call = facts_of((ones(4), ones(5), ones(9)), A, B, A + B)
    assert is_declared(facts, {("args[0]", 0): 5, ("args[2]", 0): 10}, call)
    assert not is_declared(facts, {("args[0]", 0): 5}, call)
    assert not is_declared(facts, {("args[2]", 0): 10}, call)
    halves, call = facts_of((ones(4), ones(2)), A, A // 2)
    assert is_declared(halves, {("args[0]", 0): 5}, call)
    assert not is_declared(halves, {("args[0]", 0): 6}, call)


def test_a_number_is_drawn_within_its_range_and_left_on_both_sides():
    call = Inputs("", (ones(4), 3), {})
    facts = declared_facts(declared_dims(Net(), call, ParamsSpec({"y": N})))
    assert str(facts) == "n -5..50"
    ways = [way.at(1) for way in directions(facts, call, {"n": 3}) if way.about == "n"]
    assert ways == [{("args[1]", -1): -6}, {("args[1]", -1): 51}]


EVEN = ShapesSpec(ParamsSpec({"x": TensorSpec([A, None]), "y": TensorSpec([A * 2])}), assumptions=[A % 2 == 0])


@given(sizes_of(EVEN))
def test_the_strategy_of_sizes_meets_assumptions(sizes):
    assert sizes["a"] in (2, 4, 6, 8)


@given(inputs_for(EVEN, (torch.ones(4, 3), ones(8)), module=Net()))
def test_the_strategy_of_inputs_meets_assumptions(drawn):
    (x, y), _ = drawn
    assert len(x) in (2, 4, 6, 8)
    assert len(y) == 2 * len(x)
