"""A domain yields the sizes that meet the facts: each of them, and no others."""

from __future__ import annotations

from itertools import product

import pytest
import sympy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sympy import And, Eq, Ge, Gt, Le, Lt, Mod, Ne, Or, Rational, floor

from pytest_exportcheck.fuzz.size_facts import Facts, root_symbol
from pytest_exportcheck.fuzz.solver import Axis, Domain, solve
from pytest_exportcheck.records import Interval

X, Y, Z = map(root_symbol, "xyz")
MOST = 9


def facts(*conditions, names="xyz", upper=MOST):
    return Facts({name: Interval(0, upper) for name in names}, {}, conditions)


def yielded(domain, most=MOST):
    """All that a domain can yield, each axis up to ``most``."""
    if domain.empty:
        return []
    axes = [range(axis.first, (most if axis.last is None else axis.last) + 1, axis.step) for axis in domain.axes]
    names = [axis.name for axis in domain.axes]
    whole = [domain.complete(dict(zip(names, sizes, strict=True))) for sizes in product(*axes)]
    return [sizes for sizes in whole if sizes is not None]


def meeting(given, most=MOST):
    """All sizes up to ``most`` that meet the facts, by trying every one."""
    names = list(given.roots)
    tests = [sympy.lambdify(list(map(root_symbol, names)), each, modules="math") for each in given.conditions]
    ranges = [range(interval.lower, interval.upper + 1) for interval in given.roots.values()]
    return [
        dict(zip(names, sizes, strict=True)) for sizes in product(*ranges) if all(is_met(test, sizes) for test in tests)
    ]


def is_met(test, sizes):
    try:
        return bool(test(*sizes))
    except ZeroDivisionError:
        return False


def as_set(many):
    return {tuple(sorted(sizes.items())) for sizes in many}


def agrees(given):
    domain = solve(given)
    found = yielded(domain)
    assert len(found) == len(as_set(found))  # none twice
    assert as_set(found) == as_set(meeting(given))
    return domain


def axes_of(*conditions, names="x", upper=MOST):
    """(first, step, last) of every axis."""
    return [(axis.first, axis.step, axis.last) for axis in solve(facts(*conditions, names=names, upper=upper)).axes]


EXAMPLES = settings(
    max_examples=50, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)

small = st.integers(-6, 12)
factors = st.sampled_from([-3, -2, -1, 1, 2, 3])
roots = st.sampled_from([X, Y])
relations = st.sampled_from([Ge, Gt, Le, Lt, Eq, Ne])


@st.composite
def linear(draw):
    return draw(factors) * draw(roots) + draw(small)


of_one = st.builds(lambda relation, expr, bound: relation(expr, bound), relations, linear(), small)
divisible = st.builds(
    lambda expr, modulus, rest: Eq(Mod(expr, modulus), rest), linear(), st.integers(2, 6), st.integers(-1, 6)
)
equal = st.builds(lambda one, factor, other, offset: Eq(one, factor * other + offset), roots, factors, roots, small)
sums = st.builds(lambda relation, total: relation(X + 2 * Y, total), relations, st.integers(0, 20))
products = st.builds(lambda relation, number: relation(X * Y, number), relations, st.integers(0, 20))
floors = st.builds(lambda one, other: Eq(floor(one / 2), other), roots, roots)
plain = st.one_of(of_one, divisible, equal, sums, products, floors)
both = st.builds(And, plain, plain)
either = st.builds(Or, plain, plain)


@EXAMPLES
@given(st.lists(st.one_of(plain, both, either), min_size=1, max_size=4))
def test_a_domain_is_all_sizes_that_meet_the_conditions_and_no_others(conditions):
    agrees(facts(*conditions, names="xy"))


@EXAMPLES
@given(st.lists(st.one_of(of_one, divisible), max_size=4), st.integers(0, 4), st.integers(0, MOST))
def test_intervals_bounds_and_divisibility_are_built_in_together(conditions, lower, upper):
    agrees(Facts({name: Interval(lower, max(lower, upper)) for name in "xy"}, {}, tuple(conditions)))


@EXAMPLES
@given(st.lists(st.one_of(equal, divisible, of_one), min_size=2, max_size=4))
def test_roots_that_follow_one_another_meet_what_is_asked_of_all(conditions):
    triple = [each.xreplace({X: Z, Y: X}) if number % 2 else each for number, each in enumerate(conditions)]
    agrees(facts(*triple, upper=4))


@pytest.mark.parametrize(
    ("condition", "axis"),
    [
        (Ge(X, 3), (3, 1, 9)),
        (Gt(X, 3), (4, 1, 9)),
        (Le(X, 3), (0, 1, 3)),
        (Lt(X, 3), (0, 1, 2)),
        (Ge(2 * X, 5), (3, 1, 9)),
        (Gt(2 * X, 6), (4, 1, 9)),
        (Lt(3 * X, 10), (0, 1, 3)),
        (Le(-2 * X, -5), (3, 1, 9)),
        (Gt(7, 2 * X + 1), (0, 1, 2)),
        (Eq(X, 4), (4, 1, 4)),
        (Eq(8, 2 * X), (4, 1, 4)),
        (Eq(Mod(X, 4), 0), (0, 4, 9)),
        (Eq(Mod(X, 4), 3), (3, 4, 9)),
        (Eq(Mod(X + 1, 4), 0), (3, 4, 9)),
        (Eq(Mod(2 * X + 1, 6), 3), (1, 3, 9)),
        (Eq(0, Mod(3 * X, 7)), (0, 7, 9)),
        (And(Ge(X, 2), Lt(X, 8)), (2, 1, 7)),
    ],
)
def test_a_condition_on_one_root_becomes_a_part_of_its_axis(condition, axis):
    domain = agrees(facts(condition, names="x"))
    assert [(each.first, each.step, each.last) for each in domain.axes] == [axis]
    assert domain.filters == ()


def test_a_bound_keeps_to_the_lattice_and_a_lattice_to_its_bound():
    assert axes_of(Eq(Mod(X, 4), 1), Ge(X, 3)) == axes_of(Ge(X, 3), Eq(Mod(X, 4), 1)) == [(5, 4, 9)]


def test_residues_of_several_moduli_are_joined():
    assert axes_of(Eq(Mod(X, 4), 1), Eq(Mod(X, 6), 3), upper=None) == [(9, 12, None)]


@pytest.mark.parametrize(
    "condition",
    [
        Ne(X, 3),
        Or(Eq(X, 1), Eq(X, 5)),
        Eq(X * X, 9),
        Eq(Mod(X * X, 4), 1),
        Eq(Mod(X, 4) + X, 5),
        Eq(floor(X / 2), 2),
        Eq(Mod(X / 2, 2), 0),
        Eq(Mod(X + Rational(1, 2), 2), Rational(1, 2)),
        Gt(X / (X - 3), 0),
        Ge(Mod(X, 4), 2),
    ],
)
def test_what_cannot_be_built_in_is_filtered(condition):
    assert agrees(facts(condition, names="x")).filters == (condition,)


@pytest.mark.parametrize(
    ("condition", "follows"),
    [
        (Eq(X, Y), {"y": X}),
        (Eq(Y, X + 2), {"y": X + 2}),
        (Eq(Y, 9 - X), {"y": 9 - X}),
        (Eq(2 * X, Y), {"y": 2 * X}),
        (Eq(X, 2 * Y), {"x": 2 * Y}),
        (Eq(X, 2 * Y + 1), {"x": 2 * Y + 1}),
        (Eq(X * X, Y), None),
        (Eq(Y, X / 2), None),
        (Eq(Y, floor(X / 2)), None),
    ],
)
def test_of_two_equal_roots_one_follows(condition, follows):
    domain = agrees(facts(condition, names="xy"))
    if follows is not None:
        assert domain.follows == follows
        assert len(domain.axes) == 1


def test_a_product_of_roots_may_follow_too():
    assert agrees(facts(Eq(Z, X * Y))).follows == {"z": X * Y}


def test_roots_that_follow_each_other_all_follow_one():
    domain = agrees(facts(Eq(Z, Y + 1), Eq(Y, X + 1)))
    assert domain.follows == {"z": X + 2, "y": X + 1}


def test_what_is_asked_of_a_root_that_follows_is_asked_of_the_other():
    assert axes_of(Ge(Y, 5), Eq(Mod(Y, 3), 0), Eq(Y, X + 1), names="xy") == [(5, 3, 8)]
    assert axes_of(Eq(Y, X + 1), Ge(Y, 5), Eq(Mod(Y, 3), 0), names="xy") == [(5, 3, 8)]


def test_a_filter_on_a_root_that_follows_is_about_the_other():
    assert solve(facts(Ne(Y, 3), Eq(Y, X + 1), names="xy")).filters == (Ne(X + 1, 3),)


def test_a_condition_on_two_roots_is_built_in_once_one_follows_the_other():
    domain = agrees(facts(Ge(X + Y, 5), Eq(Y, X + 1), names="xy"))
    assert (domain.axes, domain.filters) == ((Axis("x", 2, 1, 8),), ())


@pytest.mark.parametrize(
    ("conditions", "reason"),
    [
        ([Ge(X, 8), Le(X, 7)], "x would have to be at least 8 and at most 7"),
        ([Ge(X, 10)], "x would have to be at least 10 and at most 9"),
        ([Eq(3 * X, 5)], "Eq(3*x, 5) has no solution in whole numbers"),
        ([Eq(Mod(2 * X + 1, 4), 2)], "Eq(Mod(2*x + 1, 4), 2) has no solution in whole numbers"),
        ([Eq(Mod(X, 4), 5)], "Eq(Mod(x, 4), 5) has no solution in whole numbers"),
        ([Eq(Mod(X, 2), 0), Eq(Mod(X, 4), 3)], "x cannot be 3 modulo 4 as well"),
        ([Ge(X, 6), Eq(Mod(X, 5), 4), Le(X, 8)], "x would have to be at least 9 and at most 8"),
        ([Le(X, 8), Ge(X, 6), Eq(Mod(X, 5), 4)], "x has no size"),
        ([sympy.false], "the conditions contradict each other"),
        ([Eq(X, Y), Eq(X, Y + 1)], "the conditions contradict each other"),
    ],
)
def test_what_no_size_meets_is_empty_and_says_why(conditions, reason):
    assert solve(facts(*conditions, names="xy")).empty == reason


def test_true_conditions_say_nothing():
    domain = solve(facts(sympy.true, True, Eq(X, X), names="x"))
    assert (domain.axes, domain.filters) == ((Axis("x", 0, 1, MOST),), ())


def test_without_roots_there_is_one_choice():
    assert yielded(solve(Facts({}))) == [{}]


def test_a_root_without_bounds_starts_at_zero_and_has_no_end():
    assert solve(Facts({"x": Interval(None, None)})).axes == (Axis("x", 0, 1, None),)


def test_large_moduli_are_left_to_the_filter():
    domain = solve(facts(Eq(Mod(X, 2**20), 3), names="x"))
    assert (domain.axes, len(domain.filters)) == ((Axis("x", 0, 1, MOST),), 1)


@pytest.mark.parametrize(
    ("axis", "count"),
    [
        (Axis("x", 2, 1, 5), 4),
        (Axis("x", 2, 3, 9), 3),
        (Axis("x", 5, 1, 5), 1),
        (Axis("x", 5, 2, 4), 0),
        (Axis("x", 5, 2), None),
    ],
)
def test_an_axis_counts_its_sizes(axis, count):
    assert axis.count == count


def test_an_axis_knows_and_numbers_its_sizes():
    axis = Axis("x", 2, 3, 10)
    sizes = [size for size in range(-5, 20) if axis.has(size)]
    assert sizes == [2, 5, 8]
    assert [axis.index(size) for size in sizes] == [0, 1, 2]


@pytest.mark.parametrize(("cap", "last"), [(1, 2), (2, 2), (4, 2), (5, 5), (7, 5), (8, 8), (100, 10)])
def test_an_axis_is_cut_but_for_its_first_size(cap, last):
    assert Axis("x", 2, 3, 10).up_to(cap).last == last
    assert Axis("x", 2, 3).up_to(7).last == 5


DOMAIN = Domain((Axis("x", 1, 2, 7),), {"y": X + 1}, (Ne(X, 5),))


def test_a_choice_is_completed():
    assert [DOMAIN.complete({"x": size}) for size in (1, 3, 5)] == [{"x": 1, "y": 2}, {"x": 3, "y": 4}, None]


@pytest.mark.parametrize(
    ("sizes", "chosen"),
    [
        ({"x": 3, "y": 4}, {"x": 3}),
        ({"x": 3}, {"x": 3}),
        ({"x": 3, "y": 5}, None),
        ({"x": 5, "y": 6}, None),
        ({"x": 2, "y": 3}, None),
        ({"x": 9, "y": 10}, None),
        ({"y": 4}, None),
    ],
)
def test_the_chosen_part_of_sizes_is_told_where_they_are_in_the_domain(sizes, chosen):
    assert DOMAIN.chosen(sizes) == chosen
