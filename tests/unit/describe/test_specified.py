"""Declared dims of specifications: variables, expressions of them, assumptions, and inputs at other sizes."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.fx.experimental.dynamic_spec import (
    DictSpec,
    IntVar,
    ObjectSpec,
    ParamsSpec,
    SeqSpec,
    ShapesSpec,
    ShapeVar,
    TensorSpec,
)

from pytest_exportcheck.describe import check_inputs, declared_dims, dims_in
from pytest_exportcheck.describe.resize import at_other_sizes
from pytest_exportcheck.errors import CaseError
from pytest_exportcheck.harness.tensors import input_leaves
from pytest_exportcheck.records import Case, Inputs, Origin

A, B, N = ShapeVar("a", min=2, max=9), ShapeVar("b", min=1), IntVar("n", min=-5, max=50)


@dataclasses.dataclass
class Box:
    first: torch.Tensor
    second: torch.Tensor


torch.export.register_dataclass(Box, serialized_type_name="test_specified.Box")


class Net(torch.nn.Module):
    def forward(self, x, y=None, *rest, z=None, **others): ...


def rows(size):
    return TensorSpec([size, None])


def ones(size):
    return torch.ones(size, 3)


def declared(args, shapes, kwargs=None):
    found = declared_dims(Net(), Inputs("", args, kwargs or {}), shapes)
    return [(each.place, each.dim, each.text, str(each.interval), [*map(str, each.conditions)]) for each in found]


def test_variables_and_expressions_have_places_ranges_and_assumptions():
    shapes = ShapesSpec(
        ParamsSpec({"x": rows(A), "y": TensorSpec([A * 2 - 1, 3]), "*args": [rows(A + B), rows(B)], "z": N}),
        assumptions=[A % 2 == 0, A <= B],
    )
    assert declared((ones(4), ones(7), ones(9), ones(5)), shapes, {"z": 3}) == [
        ("args[0]", 0, "a", "2..9", ["Eq(Mod(a, 2), 0)", "a <= b"]),
        ("args[1]", 0, "2*a - 1", "3..17", ["Eq(Mod(a, 2), 0)", "a <= b"]),
        ("args[1]", 1, "3", "None", []),
        ("args[2]", 0, "a + b", "None", ["Eq(Mod(a, 2), 0)", "a <= b"]),
        ("args[3]", 0, "b", "1..oo", ["a <= b"]),
        ("kwargs['z']", -1, "n", "-5..50", []),
    ]


def test_containers_are_entered():
    tree = {"k": [ones(4), 5], "b": Box(ones(4), ones(4))}
    shapes = ParamsSpec({"x": DictSpec({"k": SeqSpec([rows(A)]), "b": ObjectSpec({"second": rows(A)})})})
    assert [(place, dim, text) for place, dim, text, *_ in declared((tree,), shapes)] == [
        ("args[0]['k'][0]", 0, "a"),
        ("args[0]['b'].second", 0, "a"),
    ]


def test_variables_of_one_name_and_without_a_name_have_separate_names():
    shapes = ParamsSpec({"x": TensorSpec([A, ShapeVar("a")]), "y": TensorSpec([ShapeVar(), None])})
    names = [each.root for each in declared_dims(Net(), Inputs("", (ones(4), ones(4)), {}), shapes)]
    assert names == ["a", "a_2", "args[1].size(0)"]
    assert [each.root for each in dims_in(shapes)][:2] == ["a", "a_2"]


@pytest.mark.parametrize(
    ("shapes", "before", "after"),
    [
        (ParamsSpec({"x": rows(A)}), (4, 3), (5, 3)),
        (ParamsSpec({"x": rows(A)}), (9, 3), (8, 3)),
        (ShapesSpec(ParamsSpec({"x": rows(A)}), assumptions=[A % 2 == 0]), (4, 3), (6, 3)),
        (ShapesSpec(ParamsSpec({"x": rows(A)}), assumptions=[A % 8 == 0]), (8, 3), None),
        (ParamsSpec({"x": rows(A), "y": rows(B), "*args": [rows(A + B)]}), (4, 3, 7), (5, 4, 9)),
        (ShapesSpec(ParamsSpec({"x": rows(A), "y": rows(B)}), assumptions=[A >= B]), (4, 4), (5, 5)),
        (ParamsSpec({"x": rows(A), "y": rows(A // 2)}), (4, 2), (5, 2)),
    ],
)
def test_other_sizes_are_in_the_ranges_and_meet_the_assumptions(shapes, before, after):
    call = Inputs("", tuple(map(ones, before)), {})
    other = at_other_sizes(call, declared_dims(Net(), call, shapes))
    assert (None if other is None else tuple(len(each) for each in other.args[: len(after)])) == after


def test_a_number_changes_with_the_size_that_it_shares():
    call = Inputs("", (ones(4), 4), {})
    other = at_other_sizes(call, declared_dims(Net(), call, ParamsSpec({"x": rows(A), "y": A})))
    assert [leaf if isinstance(leaf, int) else len(leaf) for _, leaf in input_leaves(other.args, {})] == [5, 5]


@pytest.mark.parametrize(
    ("args", "shapes", "message"),
    [
        (
            (ones(5),),
            ShapesSpec(ParamsSpec({"x": rows(A)}), assumptions=[A % 2 == 0]),
            "the example inputs break the assumption Eq(Mod(a, 2), 0) of dynamic_shapes (a=5); draw other sizes, or drop the "
            "assumption.",
        ),
        (
            (ones(4), ones(9)),
            ParamsSpec({"x": rows(A), "y": rows(A * 2)}),
            "dim 0 of args[1] is 9 in the example inputs, and dynamic_shapes says 2*a, which is 8 (a=4); make the two agree.",
        ),
        (
            (ones(4), 60),
            ParamsSpec({"y": N}),
            "y is 60 in the example inputs, outside the range that dynamic_shapes declares for n (-5 to 50); draw a size within "
            "the range, or widen it.",
        ),
        (
            (ones(4), 6),
            ParamsSpec({"y": 5}),
            "y is 6 in the example inputs and 4 in fresh inputs, and dynamic_shapes says 5; make them agree.",
        ),
        (
            (ones(40),),
            ParamsSpec({"x": rows(A)}),
            "dim 0 of x is 40 in the example inputs, outside the range that dynamic_shapes declares for a (2 to 9); draw a size "
            "within the range, or widen it.",
        ),
    ],
)
def test_inputs_that_break_a_specification_are_named(args, shapes, message):
    fresh = (*args[:-1], 4) if isinstance(args[-1], int) and args[-1] == 6 else args
    case = Case(name="net", build=Net, origin=Origin(module="m", file="case.py", line=3))
    with pytest.raises(CaseError) as wrong:
        check_inputs(case, Net(), Inputs("", args, {}), Inputs("", fresh, {}), shapes)
    assert str(wrong.value).split("\n")[0] == f"case 'net' (case.py:3): {message}"
