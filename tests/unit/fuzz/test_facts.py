"""Facts about sizes: what dynamic shapes say, what a capture made of hints, and both together."""

from __future__ import annotations

import pytest
import sympy
import torch
from sympy import Eq, Ge, Gt, Le, Mod, Ne
from torch.export import Dim

from pytest_exportcheck.describe import declared_dims
from pytest_exportcheck.fuzz.size_facts import (
    ANY,
    Facts,
    declared_facts,
    evaluated,
    is_true,
    joined,
    name_of,
    root_symbol,
    translation,
    without_hints,
)
from pytest_exportcheck.fuzz.solver import solve
from pytest_exportcheck.records import Inputs, Interval

B = Dim("b", min=2, max=10)
FIRST, SECOND, THIRD = (f"args[{number}].size(0)" for number in range(3))
b, first, second, third = map(root_symbol, ("b", FIRST, SECOND, THIRD))
DIMS = {FIRST: ("args[0]", 0), SECOND: ("args[1]", 0), THIRD: ("args[2]", 0)}


class Net(torch.nn.Module):
    def forward(self, x, y=None, z=None): ...


def declared(*sizes):
    """The facts of arguments of which the first dim is declared."""
    args = tuple(torch.ones(4, 2) for _ in sizes)
    shapes = tuple(None if size is None else {0: size} for size in sizes)
    return declared_facts(declared_dims(Net(), Inputs("", args, {}), shapes))


def captured(*exprs, conditions=(), **bounds):
    """The facts of a program whose arguments have these first dims; ``first=(2, None)`` bounds a root."""
    dims = {(f"args[{number}]", 0): sympy.sympify(expr) for number, expr in enumerate(exprs)}
    names = {"first": FIRST, "second": SECOND, "third": THIRD}
    roots = {str(symbol): ANY for expr in dims.values() for symbol in expr.free_symbols}
    roots.update({names[name]: Interval(*interval) for name, interval in bounds.items()})
    return Facts(roots, dims, tuple(conditions))


def test_one_name_is_one_symbol():
    assert root_symbol("b") is root_symbol("b")
    assert root_symbol("b").is_integer


def test_a_root_without_a_name_is_called_by_its_place():
    assert name_of("kwargs['x'][0]", 3) == "kwargs['x'][0].size(3)"


@pytest.mark.parametrize(("expr", "value"), [(b, 3), (2 * b + 1, 7), (sympy.Integer(5), 5), (5, 5), (b - 4, -1)])
def test_an_expression_is_evaluated(expr, value):
    assert evaluated(expr, {"b": 3, "other": 9}) == value


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (Ge(b, 3), True),
        (Gt(b, 3), False),
        (sympy.true, True),
        (sympy.false, False),
        (True, True),
        (False, False),
        (Eq(1 / (b - 3), 1), False),
        (Gt(1 / (b - 3), 0), False),
        (Eq(Mod(7, b - 3), 1), False),
        (Ge(root_symbol("unknown"), 0), False),
    ],
)
def test_a_condition_holds_where_it_can_be_decided_and_is_true(condition, holds):
    assert is_true(condition, {"b": 3}) is holds


def test_facts_give_the_size_of_every_dim():
    given = Facts({"b": ANY}, {("args[0]", 0): b, ("args[1]", 2): 2 * b + 1})
    assert given.at({"b": 3}) == {("args[0]", 0): 3, ("args[1]", 2): 7}


@pytest.mark.parametrize(("size", "holds"), [(1, False), (2, True), (3, False), (5, True), (6, False)])
def test_sizes_hold_within_the_intervals_where_the_conditions_do(size, holds):
    assert Facts({"b": Interval(2, 5)}, {}, (Ne(b, 3),)).holds({"b": size}) is holds


def test_a_dim_is_a_promised_root_by_its_name():
    given = declared(B, B)
    assert given.roots == {"b": Interval(2, 10)}
    assert given.dims == {("args[0]", 0): b, ("args[1]", 0): b}
    assert (given.promised, given.conditions) == ({"b"}, ())


def test_a_dim_without_bounds_begins_at_zero():
    assert declared(Dim("c")).roots == {"c": ANY}


def test_a_derived_dim_is_an_expression_of_its_root():
    given = declared(2 * B + 1, B)
    assert given.dims == {("args[0]", 0): 2 * b + 1, ("args[1]", 0): b}
    assert given.roots == {"b": Interval(2, 10)}


def test_a_root_of_which_only_a_derived_dim_is_there_keeps_its_bounds():
    given = declared(2 * B)
    assert (given.roots, given.dims, given.promised) == ({"b": Interval(2, 10)}, {("args[0]", 0): 2 * b}, {"b"})


def test_no_derived_dim_is_negative():
    assert declared(Dim("c") - 3).conditions == (Ge(root_symbol("c") - 3, 0),)


@pytest.mark.parametrize(
    ("hint", "interval"),
    [
        (Dim.AUTO, ANY),
        (Dim.DYNAMIC, ANY),
        (Dim.AUTO(min=2, max=5), Interval(2, 5)),
        (Dim.DYNAMIC(min=3), Interval(3, None)),
        (Dim.DYNAMIC(max=7), Interval(0, 7)),
    ],
)
def test_a_hint_is_a_root_by_its_place_that_nobody_promised(hint, interval):
    given = declared(None, hint)
    assert given.roots == {SECOND: interval}
    assert given.dims == {("args[1]", 0): second}
    assert given.promised == frozenset()


@pytest.mark.parametrize("size", [None, 4, Dim.STATIC])
def test_what_is_static_is_no_root(size):
    given = declared(size)
    assert (given.roots, given.dims) == ({}, {})


def test_a_hint_of_which_nobody_knows_more_keeps_its_size():
    given = declared(B, Dim.AUTO)
    fixed = without_hints(given, {"b": 4, "args[1].size(0)": 9})
    assert fixed.roots == {"b": Interval(2, 10), "args[1].size(0)": Interval(9, 9)}


def test_what_a_capture_made_of_a_promise_is_not_believed():
    given = joined(declared(B), captured(first, first=(4, 6), conditions=[Ne(first, 5), Eq(Mod(first, 2), 0)]))
    assert (given.roots, given.conditions) == ({"b": Interval(2, 10)}, ())
    assert given.dims == {("args[0]", 0): b}


def test_nor_where_the_capture_made_a_promised_dim_static():
    given = joined(declared(B), captured(4))
    assert (given.roots, given.conditions) == ({"b": Interval(2, 10)}, ())


def test_a_hint_has_the_range_and_the_conditions_of_the_capture():
    given = joined(declared(Dim.AUTO), captured(first, first=(2, 6), conditions=[Ne(first, 5)]))
    assert given.roots == {FIRST: Interval(2, 6)}
    assert Ne(first, 5) in given.conditions
    assert [size for size in range(12) if given.holds({FIRST: size})] == [2, 3, 4, 6]


def test_bounds_of_a_hint_and_of_the_capture_hold_both():
    given = joined(declared(Dim.DYNAMIC(min=3, max=9)), captured(first, first=(2, 7)))
    assert given.roots == {FIRST: Interval(3, 7)}


def test_a_hint_that_became_static_has_one_size():
    given = joined(declared(Dim.AUTO), captured(4))
    assert [size for size in range(9) if given.holds({FIRST: size})] == [4]
    assert [(axis.first, axis.last) for axis in solve(given).axes] == [(4, 4)]


def test_hints_that_a_capture_ties_together_are_equal():
    given = joined(declared(Dim.AUTO, Dim.AUTO), captured(first, first, first=(2, None)))
    assert given.holds({FIRST: 5, SECOND: 5})
    assert not given.holds({FIRST: 5, SECOND: 6})
    domain = solve(given)
    assert domain.complete({axis.name: 5 for axis in domain.axes}) == {FIRST: 5, SECOND: 5}


def test_hints_may_be_tied_by_more_than_equality():
    given = joined(declared(Dim.AUTO, Dim.AUTO), captured(first, 2 * first + 1))
    assert given.holds({FIRST: 5, SECOND: 11})
    assert not given.holds({FIRST: 5, SECOND: 5})


@pytest.mark.parametrize(("sizes", "named"), [((B, Dim.AUTO), SECOND), ((Dim.AUTO, B), FIRST)])
def test_a_hint_that_a_capture_ties_to_a_promise_follows_the_promise(sizes, named):
    given = joined(declared(*sizes), captured(first, first, first=(4, 6), conditions=[Ne(first, 5)]))
    accepted = [size for size in range(20) if given.holds({"b": size, named: size})]
    assert accepted == [2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert not given.holds({"b": 4, named: 6})


def test_a_relation_between_a_promise_and_a_hint_is_one_of_the_hint():
    given = joined(declared(B, Dim.AUTO), captured(first, second, conditions=[Ge(second, first)]))
    assert [size for size in range(6) if given.holds({"b": 3, SECOND: size})] == [3, 4, 5]


def test_a_capture_is_translated_through_derived_dims():
    given = joined(declared(2 * B, Dim.AUTO), captured(2 * first, second, conditions=[Le(second, first)]))
    assert [size for size in range(6) if given.holds({"b": 3, SECOND: size})] == [0, 1, 2, 3]


def test_a_captured_symbol_is_what_the_first_declared_dim_with_it_says():
    assert translation(declared(2 * B, B), captured(2 * first, first)) == {first: b}
    assert translation(declared(B + 1), captured(first)) == {first: b + 1}
    assert translation(declared(B), captured(4)) == {}


def test_where_nothing_is_declared_the_dims_of_the_program_are_taken():
    given = joined(Facts({}), captured(first, 2 * first, 3, first=(2, 8), conditions=[Ne(first, 4)]))
    assert given.roots == {FIRST: Interval(2, 8)}
    assert given.dims == {("args[0]", 0): first, ("args[1]", 0): 2 * first}
    assert [size for size in range(12) if given.holds({FIRST: size})] == [2, 3, 5, 6, 7, 8]


def test_a_dim_of_which_nothing_is_declared_stays_beside_declared_ones():
    given = joined(declared(B, None), captured(first, second))
    assert given.dims == {("args[0]", 0): b}


def test_conditions_about_other_symbols_are_left_out():
    given = joined(declared(Dim.AUTO), captured(first, conditions=[Ge(root_symbol("s99"), first)]))
    assert given.holds({FIRST: 3})


def test_no_derived_dim_is_negative_in_both_together():
    given = joined(declared(Dim("c") - 3), captured(first))
    assert [size for size in range(6) if given.holds({"c": size})] == [3, 4, 5]
