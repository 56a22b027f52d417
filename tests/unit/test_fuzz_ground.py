"""What fuzzing a case stands on: pins, inputs, limits, and the ways out of what is declared."""

from __future__ import annotations

import pytest
import torch
from torch.export import Dim

from pytest_exportcheck.describe import declared_dims
from pytest_exportcheck.errors import CaseError
from pytest_exportcheck.fuzz.facts import declared_facts
from pytest_exportcheck.fuzz.ground import described, ground_of
from pytest_exportcheck.fuzz.limits import Limits
from pytest_exportcheck.fuzz.solve import solve
from pytest_exportcheck.fuzz.undeclared import directions, is_declared
from pytest_exportcheck.records import Case, Inputs, Origin


class Two(torch.nn.Module):
    def forward(self, x, y=None):
        return x


N, M = Dim("n", min=2, max=9), Dim("m", min=1)


def facts(args, shapes):
    return declared_facts(declared_dims(Two(), Inputs("", args, {}), shapes))


def ground(args, shapes, made=None, **options):
    case = Case(
        name="two", build=Two, origin=Origin("m", "case_two.py", 7), args=args, dynamic_shapes=shapes, **options
    )
    example = Inputs("", args, {})
    return ground_of(
        case,
        declared_dims(Two(), example, shapes),
        example,
        redraw=lambda seed: example,
        made=made,
        constants=(),
        seed=0,
    )


X, Y = torch.ones(4, 3), torch.ones(8)


def test_the_sizes_of_the_example():
    own = ground((X, Y), ({0: N}, {0: 2 * N}))
    assert own.usual(own.facts) == {"n": 4}


def test_a_root_that_the_example_does_not_fix_has_its_smallest_size():
    own = ground((X, Y), (None, {0: 2 * N - 1}))  # no n gives y eight elements
    assert own.usual(own.facts) == {"n": 2}


def test_inputs_of_declared_sizes_are_named_after_them():
    own = ground((X, Y), ({0: N}, {0: 2 * N}))
    call = own.inputs(own.facts, {"n": 3}, lambda strategy: None)
    assert call.label == "n=3" and call.args[0].shape == (3, 3) and call.args[1].shape == (6,)


def test_inputs_of_other_sizes_are_named_after_dims():
    own = ground((X, Y), ({0: N}, {0: 2 * N}))
    call = own.inputs_of({("args[1]", 0): 7})
    assert call.label == "args[1].size(0)=7" and call.args[0].shape == (4, 3) and call.args[1].shape == (7,)


def test_the_words_for_what_is_declared():
    assert described(facts((X, Y), ({0: N, 1: M}, None))) == "n 2..9, m 1..oo"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": ({"k": 3},)}, "sizes=[{'k': 3}] names 'k', which dynamic_shapes does not. Its dims: n."),
        (
            {"sizes": ({"n": 3}, {"n": 10})},
            "sizes=[{'n': 10}] is not among the declared sizes: n 2..9. Pin others, or declare them.",
        ),
        (
            {"inputs": lambda k: ()},
            "its inputs callable is called with the sizes of n by name, and takes (k): missing a required argument: 'k'.",
        ),
        (
            {"inputs": lambda: ()},
            "its inputs callable is called with the sizes of n by name, and takes (): got an unexpected keyword argument 'n'.",
        ),
    ],
)
def test_what_is_declared_wrongly(options, message):
    with pytest.raises(CaseError) as error:
        ground((X, Y), ({0: N}, None), **options)
    assert str(error.value) == f"case 'two' (case_two.py:7): {message}"


def test_no_size_at_all():
    with pytest.raises(CaseError) as error:
        ground((X, Y), ({0: N - 10}, None))
    assert str(error.value) == (
        "case 'two' (case_two.py:7): dynamic_shapes admits no size at all: n would have to be at least 10 and at most 9. "
        "Correct its bounds."
    )


def limited(args, shapes):
    own = ground(args, shapes)
    limits = Limits(own.facts, own.example, own.usual(own.facts))
    return limits, limits.capped(solve(own.facts))


def test_a_dim_without_a_bound_ends_somewhere():
    limits, domain = limited((Y,), ({0: M},))
    assert domain.axes[0].last == 257 and limits.notes() == []


def test_a_large_example_may_grow_by_sixteen():
    _, domain = limited((torch.ones(100),), ({0: M},))
    assert domain.axes[0].last == 1600


def test_what_is_left_out_of_a_declared_range_is_told():
    limits, domain = limited((torch.ones(2, 10000),), ({0: Dim("n", min=1, max=500)},))
    assert domain.axes[0].last == 32
    assert limits.notes() == ["fuzz: sizes of n above 32 were not tried: inputs would have more than 320000 elements"]


def test_two_dims_may_not_both_be_large():
    limits, _ = limited((torch.ones(4, 4),), ({0: M, 1: Dim("k", min=1)},))
    assert limits.allow({"m": 257, "k": 257}) and not limits.allow({"m": 2000, "k": 257})


def ways(args, shapes):
    own = facts(args, shapes)
    example = Inputs("", args, {})
    usual = ground(args, shapes).usual(own)
    return {
        (way.about, tuple(sorted(way.at(number).items())))
        for way in directions(own, example, usual)
        for number in range(1, way.steps + 1)
        if not is_declared(own, way.at(number), example)
    }


def sizes_of(found, about, place="args[0]", dim=0):
    return sorted(size for name, sizes in found for where, size in sizes if name == about and where == (place, dim))


def test_beyond_both_bounds():
    found = ways((torch.ones(4),), ({0: N},))
    assert sizes_of(found, "n") == [0, 1, *range(10, 18)]
    assert {name for name, _ in found} == {"n"}


def test_derived_dims_go_with_their_root():
    found = ways((X, Y), ({0: N}, {0: 2 * N}))
    assert (("n", ((("args[0]", 0), 10), (("args[1]", 0), 20)))) in found
    assert sizes_of(found, "args[1].size(0) alone", "args[1]") == [0, 1, 2, 3, 4, 5, 6, 7, *range(9, 17)]


def test_a_derived_dim_alone_has_sizes_between_those_declared():
    found = ways((Y,), ({0: 2 * N},))
    assert sizes_of(found, "args[0].size(0) alone") == [0, 1, 2, 3, 5, 7, 9, 11, 13, 15]


def test_dims_that_are_not_dynamic():
    found = ways((X,), ({0: N},))
    assert sizes_of(found, "args[0].size(1) alone", dim=1) == [0, 1, 2, *range(4, 12)]


def test_a_hint_has_no_outside():
    assert {name for name, _ in ways((torch.ones(4),), ({0: Dim.AUTO},))} == set()


def test_nothing_is_negative():
    found = ways((X, torch.ones(3)), ({0: N, 1: None}, {0: N - 1}))
    assert min(size for _, sizes in found for _, size in sizes) >= 0
