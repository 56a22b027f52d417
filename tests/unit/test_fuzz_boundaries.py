"""The sizes that are tried first."""

from __future__ import annotations

import pytest
import sympy
import torch

from pytest_exportcheck.fuzz.boundaries import boundaries, code_constants, smaller
from pytest_exportcheck.fuzz.facts import root_symbol
from pytest_exportcheck.fuzz.solve import Axis, Domain


def sizes(domain, example=6, constants=(), number=30):
    return [point["a"] for point in boundaries(domain, {"a": example}, constants, number)]


def domain(*axes, filters=()):
    return Domain(axes, {}, filters)


def test_the_example_comes_first_then_what_models_break_at():
    found = sizes(domain(Axis("a", 1, 1, 100)))
    assert found[:8] == [6, 1, 2, 100, 99, 7, 4, 12]
    assert {3, 8, 9, 12, 16, 17, 18, 32} <= set(found)


@pytest.mark.parametrize("number", [1, 5, 30])
def test_there_are_at_most_so_many(number):
    assert len(sizes(domain(Axis("a", 0, 1, 100)), number=number)) == number


def test_a_small_range_is_tried_whole():
    assert sorted(sizes(domain(Axis("a", 2, 1, 12)))) == list(range(2, 13))


def test_every_size_is_on_the_axis():
    assert set(sizes(domain(Axis("a", 3, 4, 50)))) <= set(range(3, 51, 4))


def test_what_a_filter_refuses_is_left_out():
    found = sizes(domain(Axis("a", 1, 1, 20), filters=(sympy.Ne(root_symbol("a"), 7),)))
    assert 7 not in found and 8 in found


def test_numbers_that_may_mean_a_size_come_early():
    found = sizes(domain(Axis("a", 1, 1, 1000)), constants=[777], number=15)
    assert {776, 777, 778} <= set(found)


def test_an_axis_without_an_end_has_boundaries_too():
    found = sizes(domain(Axis("a", 0, 1)), number=40)
    assert {0, 1, 2, 6, 8, 16} <= set(found)


def test_several_axes_go_alone_together_and_equal():
    axes = (Axis("a", 1, 1, 9), Axis("b", 2, 1, 20))
    points = boundaries(domain(*axes), {"a": 4, "b": 5}, [], 40)
    assert points[0] == {"a": 4, "b": 5}
    assert {"a": 1, "b": 2} in points and {"a": 1, "b": 5} in points and {"a": 4, "b": 20} in points
    assert {"a": 2, "b": 2} in points
    assert len({tuple(point.values()) for point in points}) == len(points) == 40


def test_no_axis_no_boundary():
    assert boundaries(Domain(()), {}, [], 9) == []


def test_below_what_was_found_other_axes_may_be_larger():
    points = smaller(domain(Axis("a", 1, 1, 64), Axis("b", 1, 1, 64)), {"a": 3, "b": 43}, {"a": 6, "b": 5}, 99)
    assert {"a": 2, "b": 64} in points and all(point["a"] < 3 for point in points)


def test_numbers_in_the_code_of_a_module_of_ones_own():
    class Inner(torch.nn.Module):
        def forward(self, x):
            return x if x.shape[0] == 41 else self.other(x)

        def other(self, x):
            return [each for each in x if each.shape[0] > 97]

    outer = torch.nn.Sequential(torch.nn.Linear(3, 3), Inner())
    outer.function = lambda x: x.shape[0] == 53
    assert code_constants(outer) == [41, 53, 97]


def test_numbers_in_torchs_own_code_do_not_count():
    assert code_constants(torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.LSTM(3, 3))) == []
