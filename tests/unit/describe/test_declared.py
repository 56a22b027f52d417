"""What ``dynamic_shapes`` promises of each dim, in every form that torch takes."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass

import pytest
import torch
from torch.export import Dim

from pytest_exportcheck.describe import declared_dims, dims_in
from pytest_exportcheck.records import Inputs, Interval
from pytest_exportcheck.records.programs import linear_root

X = torch.randn(4, 3)
B = Dim("b", min=2, max=10)
Pair = namedtuple("Pair", "a b")


@dataclass
class Point:
    a: object
    b: object


torch.export.register_dataclass(Point, serialized_type_name="test_describe_declared.Point")


def declared(forward, shapes, *args, **kwargs):
    """Place, dim and text of each declared dim of a call of ``forward(self, ...)``."""
    module = type("Net", (torch.nn.Module,), {"forward": forward})()
    return [(each.place, each.dim, each.text) for each in declared_dims(module, Inputs("", args, kwargs), shapes)]


def two(self, x, y=None, z=None): ...
def keywords(self, x, *, y, z): ...
def variadic(self, *tensors): ...
def named(self, **tensors): ...
def mixed(self, x, *rest, y, **others): ...


@pytest.mark.parametrize(
    "shapes",
    [{"x": {0: B}, "y": None}, {"y": None, "x": {0: B}}, {"x": (B, None), "y": {}}, ({0: B}, None), [[B, None], None],
     {"x": [B, None], "y": (None, None)}, {"x": {-2: B}, "y": None}],
)  # fmt: skip
def test_shapes_go_by_name_or_by_position(shapes):
    assert declared(two, shapes, X, X) == [("args[0]", 0, "b")]


def test_an_argument_that_is_passed_by_name_has_its_place():
    assert declared(two, {"x": None, "y": {1: B}}, X, y=X) == [("kwargs['y']", 1, "b")]


@pytest.mark.parametrize("shapes", [({0: B}, {1: B}), {"x": {0: B}, "z": {1: B}}])
def test_a_parameter_that_is_left_out_has_no_shape(shapes):
    assert declared(two, shapes, X, z=X) == [("args[0]", 0, "b"), ("kwargs['z']", 1, "b")]


def test_keywords_may_come_in_another_order():
    shapes = {"x": None, "y": {1: B}, "z": {0: B}}
    assert declared(keywords, shapes, X, z=X, y=X) == [("kwargs['z']", 0, "b"), ("kwargs['y']", 1, "b")]


@pytest.mark.parametrize("shapes", [{"tensors": ({0: B}, {1: B})}, {"tensors": [{0: B}, {1: B}]}, (({0: B}, {1: B}),)])
def test_variadic_arguments_have_one_shape_each(shapes):
    assert declared(variadic, shapes, X, X) == [("args[0]", 0, "b"), ("args[1]", 1, "b")]


@pytest.mark.parametrize("shapes", [{"tensors": {"a": {0: B}, "b": None}}, {"a": {0: B}, "b": None}])
def test_variadic_keywords_have_one_shape_each(shapes):
    assert declared(named, shapes, a=X, b=X) == [("kwargs['a']", 0, "b")]


def test_all_kinds_of_parameters_together():
    shapes = {"x": {0: B}, "rest": ({1: B}, None), "y": None, "others": {"k": {0: B}}}
    assert declared(mixed, shapes, X, X, X, y=X, k=X) == [
        ("args[0]", 0, "b"),
        ("args[1]", 1, "b"),
        ("kwargs['k']", 0, "b"),
    ]


@pytest.mark.parametrize(
    ("value", "spec", "place"),
    [
        ({"p": X, "q": X}, {"q": {0: B}, "p": None}, "args[0]['q']"),
        ([X, X], [None, {0: B}], "args[0][1]"),
        ((X, (X,)), (None, ({0: B},)), "args[0][1][0]"),
        ({"p": [X, {"q": X}]}, {"p": [None, {"q": (B, None)}]}, "args[0]['p'][1]['q']"),
        (Pair(X, X), Pair(None, {0: B}), "args[0].b"),
        (Point(X, X), [None, {0: B}], "args[0].b"),
        (Point(None, X), [{0: B}], "args[0].b"),
        ([X, 3, None], [{0: B}, None, None], "args[0][0]"),
    ],
)
def test_shapes_follow_containers(value, spec, place):
    assert declared(two, {"x": spec}, value) == [(place, 0, "b")]


@pytest.mark.parametrize(
    "shapes", [None, {"x": None}, {"x": {}}, {"x": {0: None}}, (None,), torch.export.ShapesCollection()]
)
def test_what_says_nothing_declares_nothing(shapes):
    assert declared(two, shapes, X) == []


@pytest.mark.parametrize("value", [3, "text", None, torch.tensor(1.0)])
def test_an_input_without_dims_declares_none(value):
    assert declared(two, {"x": None, "y": {0: B}}, value, X) == [("args[1]", 0, "b")]


def test_inputs_that_do_not_fit_declare_nothing():
    assert declared(keywords, {"x": {0: B}}, X) == []


@pytest.mark.parametrize(
    ("size", "text", "dynamic", "interval"),
    [
        (B, "b", True, Interval(2, 10)),
        (Dim("c"), "c", True, Interval(0, None)),
        (Dim("c", max=7), "c", True, Interval(0, 7)),
        (2 * B, "2*b", True, Interval(4, 20)),
        (B + 1, "b + 1", True, Interval(3, 11)),
        (Dim.AUTO, "Dim.AUTO", False, None),
        (Dim.DYNAMIC, "Dim.DYNAMIC", True, None),
        (Dim.STATIC, "Dim.STATIC", False, None),
        (Dim.AUTO(min=2, max=5), "Dim.AUTO", False, Interval(2, 5)),
        (Dim.DYNAMIC(min=2), "Dim.DYNAMIC", True, Interval(2, None)),
        (4, "4", False, None),
    ],
)
def test_every_kind_of_dim_says_what_it_promises(size, text, dynamic, interval):
    module = type("Net", (torch.nn.Module,), {"forward": two})()
    (found,) = declared_dims(module, Inputs("", (X,), {}), {"x": {0: size}})
    assert (found.place, found.dim) == ("args[0]", 0)
    assert (found.text, found.dynamic, found.interval) == (text, dynamic, interval)


@pytest.mark.parametrize(
    ("size", "root", "at_five"), [(B, "b", 5), (2 * B + 1, "b", 11), (Dim.AUTO, "", 5), (Dim.DYNAMIC, "", 5)]
)
def test_a_dim_follows_its_root(size, root, at_five):
    module = type("Net", (torch.nn.Module,), {"forward": two})()
    (found,) = declared_dims(module, Inputs("", (X,), {}), {"x": {0: size}})
    assert (found.root, found.size_for(5)) == (root, at_five)


@pytest.mark.parametrize(
    ("dim", "size", "root"),
    [
        (B, 5, 5),
        (B - 1, 9, 10),
        (B + 3, 3, 0),
        (B + 3, 2, None),
        (2 * B, 6, 3),
        (2 * B, 7, None),
        (3 * (B - 2) + 1, 1_000_000, 333_335),
        (Dim.DYNAMIC, 5, 5),
    ],
)
def test_the_root_of_a_size_is_the_one_that_gives_it(dim, size, root):
    (found,) = dims_in({0: dim})
    assert found.root_for(size) == root


@pytest.mark.parametrize(("square", "root"), [(0, 0), (1, 1), (9, None)])
def test_no_wrong_root_of_a_function_that_is_not_linear(square, root):
    assert linear_root(lambda size: size**2, square) == root


@pytest.mark.parametrize(
    ("size", "interval"),
    [
        (B, Interval(2, 10)),
        (2 * B + 1, Interval(2, 10)),
        (B - 2, Interval(2, 10)),
        (Dim("c"), Interval(0, None)),
        (Dim("c") + 3, Interval(0, None)),
        (Dim.AUTO, None),
        (Dim.DYNAMIC(min=3), None),
        (4, None),
    ],
)
def test_a_dim_tells_the_interval_of_its_root(size, interval):
    (found,) = dims_in({0: size})
    assert found.root_interval == interval


@pytest.mark.parametrize(
    ("shapes", "found"),
    [
        (None, []),
        ({}, []),
        ({"x": None, "y": {}}, []),
        ({"x": {0: B, 1: None}, "y": (None, 2 * B)}, [("['x'][0]", "b"), ("['y'][1]", "2*b")]),
        ([{"k": [{1: Dim.AUTO}]}, {0: 4}], [("[0]['k'][0][1]", "Dim.AUTO"), ("[1][0]", "4")]),
        (Pair({0: B}, None), [("[0][0]", "b")]),
    ],
)
def test_dims_are_found_in_shapes_without_inputs(shapes, found):
    assert [(each.place, each.text) for each in dims_in(shapes)] == found
