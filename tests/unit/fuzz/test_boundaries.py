"""The sizes that are tried first, and the numbers that make them telling."""

from __future__ import annotations

import pytest
import sympy
import torch
from torch.export import Dim

from pytest_exportcheck.fuzz.boundary_values import boundaries, code_constants, condition_constants, program_constants
from pytest_exportcheck.fuzz.size_facts import root_symbol
from pytest_exportcheck.fuzz.solver import Axis, Domain

X, Y = map(root_symbol, "xy")


def sizes_of(axis, *, example=4, constants=(), number=1000):
    """The choices of one axis."""
    return [each["x"] for each in boundaries(Domain((axis,)), {"x": example}, constants, number)]


def pairs(domain, *, x=4, y=4, constants=(), number=1000):
    return [(each["x"], each["y"]) for each in boundaries(domain, {"x": x, "y": y}, constants, number)]


def test_the_example_comes_first_then_small_sizes_and_both_bounds():
    assert sizes_of(Axis("x", 0, 1, 100))[:8] == [4, 0, 1, 2, 100, 99, 5, 8]


def test_bounds_come_before_constants_and_powers():
    assert sizes_of(Axis("x", 3, 1, 90), constants=[50])[:7] == [4, 3, 90, 89, 5, 50, 8]


@pytest.mark.parametrize("step", [1, 2, 3, 8])
@pytest.mark.parametrize("last", [8, 40, 1000, None])
def test_all_are_in_the_domain_and_none_comes_twice(step, last):
    axis = Axis("x", 8, step, last)
    found = sizes_of(axis, example=16, constants=[11, 24, 39])
    assert found
    assert all(map(axis.has, found))
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("number", [0, 1, 3, 17])
def test_there_are_at_most_so_many(number):
    assert len(sizes_of(Axis("x", 0, 1, 100), number=number)) == number
    assert len(pairs(Domain((Axis("x", 0, 1, 50), Axis("y", 0, 1, 50))), number=number)) == number


def test_a_short_axis_is_tried_as_a_whole():
    assert sorted(sizes_of(Axis("x", 3, 2, 41))) == list(range(3, 42, 2))


def test_a_constant_and_its_neighbours_come_early():
    found = sizes_of(Axis("x", 0, 1, 500), constants=[77], number=16)
    assert {76, 77, 78} <= set(found)
    assert not {76, 77, 78} & set(sizes_of(Axis("x", 0, 1, 500), number=16))


def test_powers_of_two_and_multiples_of_the_example_come_too():
    found = sizes_of(Axis("x", 0, 1, 5000), example=7, number=40)
    assert {16, 17, 15, 64, 14, 21, 28, 35} <= set(found)


def test_without_an_end_far_sizes_are_tried():
    assert 1024 in sizes_of(Axis("x", 2), example=8)


@pytest.mark.parametrize(("example", "nearest"), [(4, 4), (5, 4), (6, 6), (1, 2), (0, 2), (99, 10)])
def test_the_first_is_the_size_nearest_the_example(example, nearest):
    assert sizes_of(Axis("x", 2, 2, 10), example=example)[0] == nearest


def test_a_root_that_the_example_does_not_tell_has_its_smallest_size():
    assert boundaries(Domain((Axis("x", 3, 1, 9),)), {}, (), 1) == [{"x": 3}]


def test_without_axes_there_is_nothing_to_choose():
    assert boundaries(Domain(()), {"x": 3}, (), 10) == []


def test_what_the_filters_refuse_is_left_out():
    domain = Domain((Axis("x", 0, 1, 9),), {}, (sympy.Ne(X, 4), sympy.Ge(X, 2)))
    assert sorted(each["x"] for each in boundaries(domain, {"x": 4}, (), 100)) == [2, 3, 5, 6, 7, 8, 9]


SQUARE = Domain((Axis("x", 0, 1, 9), Axis("y", 0, 1, 20)))


def test_of_several_axes_the_smallest_come_second():
    assert pairs(SQUARE, x=5, y=7)[:2] == [(5, 7), (0, 0)]


def test_every_axis_leaves_the_example_alone_and_with_the_others():
    found = pairs(SQUARE, x=5, y=7)
    assert {(size, 7) for size in range(10)} <= set(found)
    assert {(5, size) for size in range(21)} <= set(found)
    assert {(size, size) for size in range(10)} <= set(found)
    assert (0, 20) in found  # the smallest with the largest
    assert len(set(found)) == len(found)


def test_axes_take_turns():
    found = pairs(SQUARE, x=5, y=7, number=8)
    assert any(x != 5 and y == 7 for x, y in found)
    assert any(x == 5 and y != 7 for x, y in found)
    assert any(x == y for x, y in found)


def test_of_several_axes_all_are_in_the_domain():
    domain = Domain((Axis("x", 1, 3, 30), Axis("y", 2, 2)), {}, (sympy.Ne(X, Y),))
    found = boundaries(domain, {"x": 4, "y": 4}, [6, 10], 200)
    assert found
    assert all(domain.chosen(each) == each for each in found)


def helper(x):
    return x[:5000] if x.shape[0] > 77 else x


class Layer(torch.nn.Module):
    def forward(self, x):
        return [x * 31 for _ in (1, 2)] if x.shape[0] > 13 else (lambda y: y + 19)(x)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = Layer()
        self.linear = torch.nn.Linear(111, 112)
        self.helper = helper

    def forward(self, x):
        # its code is read, it is never called
        return self.layer(x) if x.shape[0] in (41, 2) else self.helper(x[: 10**7], True, -6)  # type: ignore[call-arg]


def test_constants_of_the_code_of_a_module_its_parts_and_its_functions():
    assert code_constants(Net()) == [13, 19, 31, 41, 77, 111, 112, 5000]


def test_the_code_of_torchs_own_modules_tells_nothing():
    assert code_constants(torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.LayerNorm(8))) == []


def test_constants_of_the_operations_of_a_program_and_of_its_subgraphs():
    class Branches(torch.nn.Module):
        def forward(self, x):
            y = torch.cond(x.sum() > 0, lambda x: x.narrow(1, 0, 23) + 1, lambda x: x.narrow(1, 1, 23) - 1, (x,))
            return torch.nn.functional.pad(y, (0, 37)).reshape(-1, 60) * 2.5

    program = torch.export.export(Branches(), (torch.ones(4, 24),), dynamic_shapes=({0: Dim("b", max=99)},))
    found = program_constants(program)
    assert {23, 37, 60} <= set(found)
    assert found == sorted(found)
    assert not {0, 1, 2, 2.5} & set(found)


def test_constants_of_conditions():
    conditions = [sympy.Eq(sympy.Mod(X, 8), 3), sympy.Ge(X, 2 * Y + 10**7), sympy.Ne(X / 5, -6), True]
    assert condition_constants(conditions) == [3, 8]
