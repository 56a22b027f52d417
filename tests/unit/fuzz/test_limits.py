"""Inputs do not become much larger than the example."""

from __future__ import annotations

import pytest
import sympy
import torch

from pytest_exportcheck.fuzz.outside import Direction
from pytest_exportcheck.fuzz.size_budget import FEW, MANY, TIMES, UNBOUNDED, Limits
from pytest_exportcheck.fuzz.size_facts import Facts, root_symbol
from pytest_exportcheck.fuzz.solver import Axis, Domain
from pytest_exportcheck.records import Inputs, Interval

B, C = map(root_symbol, "bc")


def limits(*shapes, b=4, c=4, dims=None):
    """The limits where the first two dims of the first input are b and c."""
    facts = Facts({name: Interval(0, None) for name in "bc"}, dims or {("args[0]", 0): B, ("args[0]", 1): C})
    return Limits(facts, Inputs("", tuple(torch.empty(shape, device="meta") for shape in shapes), {}), {"b": b, "c": c})


def capped(given, *axes):
    return [axis.last for axis in given.capped(Domain(axes)).axes]


def test_small_inputs_are_always_allowed():
    given = limits((4, 4))
    assert given.allow({"b": 2**9, "c": 2**9})
    assert not given.allow({"b": 2**9, "c": 2**9 + 1})
    assert FEW == 2**18


def test_others_may_be_some_times_as_large_as_the_example():
    given = limits((2**10, 2**10), b=2**10, c=2**10)
    assert given.allow({"b": TIMES * 2**10, "c": 2**10})
    assert not given.allow({"b": TIMES * 2**10 + 1, "c": 2**10})


def test_all_inputs_count_together_static_ones_too():
    given = limits((4, 4), (2**17,), (2**17 - 16,))
    assert given.allow({"b": 4, "c": 4})
    assert not given.allow({"b": 4, "c": 5 * 2**20})


def test_an_axis_without_an_end_is_cut_at_a_multiple_of_the_example():
    assert capped(limits((4, 4)), Axis("b", 0)) == [UNBOUNDED]
    assert capped(limits((100, 4), b=100), Axis("b", 0)) == [TIMES * 100]
    assert limits((4, 4)).notes() == []


def test_an_axis_with_an_end_is_cut_where_inputs_would_be_too_large():
    given = limits((4, 2**10), c=2**10)
    assert capped(given, Axis("b", 0, 1, 256), Axis("c", 0, 1, 10**5)) == [256, 2**16]
    assert given.notes() == [f"fuzz: sizes of c above 65536 were not tried: inputs would have more than {FEW} elements"]


def test_a_cut_of_what_has_no_end_is_not_noted():
    given = limits((4, 2**12), c=2**12)
    assert capped(given, Axis("b", 0)) == [64]
    assert given.notes() == []


def test_a_cut_keeps_to_the_lattice():
    assert capped(limits((4, 2**10), c=2**10), Axis("b", 1, 100, 10**6)) == [201]


def test_what_is_small_enough_stays_and_is_not_noted():
    given = limits((4, 4))
    assert capped(given, Axis("b", 0, 1, 300), Axis("c", 0, 3, 11)) == [300, 9]
    assert given.notes() == []


def test_at_least_one_size_stays():
    given = limits((4, 2**10), c=2**10)
    assert capped(given, Axis("b", 10**6, 1, 10**7)) == [10**6]


def test_a_domain_keeps_the_rest_of_what_it_is():
    domain = Domain((Axis("b", 0),), {"c": B}, (sympy.Ne(B, 3),))
    made = limits((4, 4)).capped(domain)
    assert (made.follows, made.filters) == (domain.follows, domain.filters)


@pytest.mark.parametrize(("size", "held"), [(MANY // 8 - 1, True), (MANY // 8, False)])
def test_a_way_out_may_lead_further(size, held):
    way = Direction("b", True, {("args[0]", 0): size}, {("args[0]", 0): 1}, 8)
    assert limits((4, 8)).hold(way) is held


def test_inputs_without_elements_to_count_are_left_out():
    example = Inputs("", (3, "text", torch.ones(4, 4)), {})
    given = Limits(Facts({"b": Interval(0, None)}, {("args[2]", 0): B}), example, {"b": 4})
    assert given.allow({"b": 2**16})
    assert not given.allow({"b": 2**16 + 1})
