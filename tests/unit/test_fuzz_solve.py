"""Facts solved: what is drawn meets them, and nothing that meets them is left out."""

from __future__ import annotations

from itertools import product

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_exportcheck.fuzz.facts import Facts, root_symbol
from pytest_exportcheck.fuzz.solve import Axis, solve
from pytest_exportcheck.records import Interval

A, B, C = (root_symbol(name) for name in "abc")
Mod, Eq, Ne = sympy.Mod, sympy.Eq, sympy.Ne


def facts(*conditions, **roots):
    return Facts({name: Interval(*bounds) for name, bounds in roots.items()}, {}, conditions)


def drawn(domain):
    """Every choice of a domain, as the sizes that it stands for."""
    choices = product(*(range(axis.first, axis.last + 1, axis.step) for axis in domain.axes))
    whole = (domain.complete(dict(zip((axis.name for axis in domain.axes), each, strict=True))) for each in choices)
    return [] if domain.empty else [sizes for sizes in whole if sizes is not None]


def admitted(given):
    names = list(given.roots)
    ranges = [range(interval.lower, interval.upper + 1) for interval in given.roots.values()]
    every = (dict(zip(names, sizes, strict=True)) for sizes in product(*ranges))
    return [sizes for sizes in every if given.holds(sizes)]


def same(one, other):
    key = lambda sizes: sorted(sizes.items())  # noqa: E731
    return sorted(one, key=key) == sorted(other, key=key)


@pytest.mark.parametrize(
    "given",
    [
        facts(a=(2, 9)),
        facts(A > 3, A < 8, a=(0, 20)),
        facts(3 * A >= 10, 2 * A <= 15, a=(0, 20)),
        facts(10 - A >= 3, a=(0, 20)),
        facts(Eq(Mod(A, 4), 0), a=(3, 30)),
        facts(Eq(Mod(2 * A + 1, 3), 0), a=(0, 30)),
        facts(Eq(Mod(4 * A, 6), 2), a=(0, 30)),
        facts(Eq(Mod(A, 4), 1), Eq(Mod(A, 6), 3), a=(0, 60)),
        facts(Eq(1, Mod(A, 5)), a=(0, 30)),
        facts(Eq(A, 7), a=(0, 30)),
        facts(Eq(2 * A, 14), a=(0, 30)),
        facts(Ne(A, 5), a=(2, 9)),
        facts(Eq(A, B), a=(2, 9), b=(4, 20)),
        facts(Eq(A + 1, B), a=(2, 9), b=(4, 20)),
        facts(Eq(2 * A - 1, B), a=(2, 9), b=(4, 20)),
        facts(Eq(2 * A, 3 * B), a=(0, 12), b=(0, 12)),
        facts(Eq(A, B), Eq(B, C), a=(0, 9), b=(2, 12), c=(1, 8)),
        facts(Eq(A, B), Eq(Mod(A, 2), 0), Eq(Mod(B, 3), 0), a=(0, 20), b=(0, 20)),
        facts(Eq(Mod(A, 2), 0), Eq(A, B), Eq(Mod(B, 3), 0), a=(0, 20), b=(0, 20)),
        facts(Eq(A * B, C), a=(1, 5), b=(1, 5), c=(0, 16)),
        facts(A * B <= 12, a=(1, 6), b=(1, 6)),
        facts(Eq(Mod(A * B, 6), 0), a=(1, 6), b=(1, 6)),
        facts(sympy.And(A > 2, Eq(A, B)), a=(0, 6), b=(0, 6)),
        facts(sympy.Or(A > 4, B > 4), a=(0, 6), b=(0, 6)),
        facts(sympy.floor(A / 2) > 2, a=(0, 12)),
        facts(Ne(sympy.floor(A / 2), 1), a=(0, 12)),
        facts(Eq(sympy.floor(A / 2), B), a=(0, 12), b=(0, 12)),
        facts(Eq(sympy.Max(A, B), 5), a=(0, 9), b=(0, 9)),
        facts(Eq(A / 2, B), a=(0, 12), b=(0, 12)),
        facts(A > 5, a=(0, 5)),
        facts(Eq(Mod(A, 2), 0), Eq(Mod(A, 2), 1), a=(0, 9)),
        facts(Eq(2 * A, 7), a=(0, 9)),
        facts(Eq(A, B), Eq(A, B + 1), a=(0, 9), b=(0, 9)),
    ],
    ids=lambda given: "; ".join(map(str, given.conditions)) or "an interval",
)
def test_what_can_be_drawn_is_what_meets_the_facts(given):
    assert same(drawn(solve(given)), admitted(given))


CONDITIONS = st.one_of(
    st.builds(lambda k, c: A * k >= c, st.integers(1, 3), st.integers(-5, 12)),
    st.builds(lambda k, c: -B * k > c, st.integers(1, 3), st.integers(-30, 5)),
    st.builds(
        lambda s, k, c, m: Eq(Mod(k * s + c, m), 0),
        st.sampled_from([A, B]),
        st.integers(1, 4),
        st.integers(0, 5),
        st.integers(2, 5),
    ),
    st.builds(lambda k, c: Eq(k * A + c, B), st.integers(1, 3), st.integers(-4, 4)),
    st.builds(lambda c: Ne(A, c), st.integers(0, 9)),
    st.builds(lambda c: c >= A * B, st.integers(0, 60)),
    st.builds(lambda c: Ne(A, B + c), st.integers(-3, 3)),
)


@settings(max_examples=150)
@given(st.lists(CONDITIONS, max_size=4), st.integers(0, 4), st.integers(3, 10))
def test_any_conditions(conditions, lower, upper):
    given = facts(*conditions, a=(lower, upper), b=(0, 12))
    assert same(drawn(solve(given)), admitted(given))


@pytest.mark.parametrize(
    ("given", "filters"),
    [
        (facts(Eq(Mod(A, 4), 0), a=(0, 9)), 0),
        (facts(Eq(2 * A - 1, B), a=(0, 9), b=(0, 99)), 0),
        (facts(Eq(A * B, C), a=(0, 9), b=(0, 9), c=(0, None)), 1),
        (facts(A * B <= 12, a=(0, 9), b=(0, 9)), 1),
    ],
)
def test_affine_and_divisible_sizes_are_built_in(given, filters):
    """What remains to be filtered; the product bounds its factor."""
    assert len(solve(given).filters) == filters


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (facts(A > 5, a=(0, 5)), "a would have to be at least 6 and at most 5"),
        (facts(a=(6, 5)), "a has no size"),
        (facts(Eq(2 * A, 7), a=(0, 9)), "the conditions contradict each other"),
        (facts(Eq(Mod(3 * A, 6), 2), a=(0, 9)), "Eq(3*(Mod(a, 2)), 2) has no solution in whole numbers"),
        (facts(Eq(Mod(A, 2), 0), Eq(Mod(A, 2), 1), a=(0, 9)), "a cannot be 1 modulo 2 as well"),
    ],
)
def test_facts_without_a_size_say_why(given, reason):
    assert solve(given).empty == reason


def test_a_choice_is_what_an_axis_has_and_the_rest_follows():
    domain = solve(facts(Eq(2 * A, B), Eq(Mod(A, 3), 0), a=(1, 20), b=(0, 30)))
    assert domain.chosen({"a": 6, "b": 12}) == {"a": 6}
    assert domain.chosen({"a": 6}) == {"a": 6}
    assert domain.chosen({"a": 6, "b": 13}) is None
    assert domain.chosen({"a": 7}) is None
    assert domain.chosen({"b": 12}) is None


@pytest.mark.parametrize(
    ("axis", "cap", "last"),
    [(Axis("a", 3, 4), 20, 19), (Axis("a", 3, 4, 15), 20, 15), (Axis("a", 3, 4, 30), 18, 15), (Axis("a", 3, 4), 1, 3)],
)
def test_a_capped_axis_ends_at_one_of_its_sizes(axis, cap, last):
    assert axis.up_to(cap).last == last


@pytest.mark.parametrize(("size", "nearest"), [(0, 3), (3, 3), (6, 3), (7, 7), (14, 11), (99, 15)])
def test_the_nearest_size_of_an_axis(size, nearest):
    assert Axis("a", 3, 4, 15).nearest(size) == nearest
