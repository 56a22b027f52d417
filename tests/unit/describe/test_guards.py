"""Guards evaluated: every operator that torch writes, and every way to name an input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import sympy
import torch
import torch.utils._pytree as pytree
from torch.export import Dim

from pytest_exportcheck.describe import declared_dims
from pytest_exportcheck.describe.guards import acceptance, guard_conditions
from pytest_exportcheck.records import DeclaredDim, Inputs, Interval

S, T = "L['x'].size()[0]", "L['y'].size()[0]"


@dataclass
class Point:
    a: object
    b: object


torch.export.register_dataclass(Point, serialized_type_name="test_describe_guards.Point")


def program(names, *args, **kwargs):
    """What is asked of a program: example inputs, and under which names it takes them."""
    signature = SimpleNamespace(forward_arg_names=names)
    spec = pytree.tree_structure((args, kwargs))
    return SimpleNamespace(
        example_inputs=(args, kwargs),
        module_call_graph=[SimpleNamespace(signature=signature)],
        call_spec=SimpleNamespace(in_spec=spec),
    )


def dim(place="args[0]", number=0, text="b", bounds=None):
    interval = None if bounds is None else Interval(*bounds)
    root = text if text.isidentifier() else ""
    return DeclaredDim(place=place, dim=number, text=text, dynamic=True, interval=interval, root=root)


def refused(*guards):
    """The sizes of ``x`` that the guards refuse, where ``y`` has 4."""
    accepts = acceptance(program(["x", "y"], torch.ones(4, 6), torch.ones(4)), guards, (dim(),))
    return [int(setting.rpartition(" ")[2]) for setting, accepted in accepts.items() if not accepted]


@pytest.mark.parametrize(
    ("guard", "sizes"),
    [
        (f"{S} == 4", [1, 2, 3, 7, 8]),
        (f"{S} != 4", [4]),
        (f"{S} < 4", [4, 7, 8]),
        (f"{S} <= 4", [7, 8]),
        (f"{S} > 4", [1, 2, 3, 4]),
        (f"{S} >= 4", [1, 2, 3]),
        (f"2 <= {S} <= 4", [1, 7, 8]),
        (f"({S} % 2) == 0", [1, 3, 7]),
        (f"({S} // 2) == 2", [1, 2, 3, 7, 8]),
        (f"({S} / 2) > 1.5", [1, 2, 3]),
        (f"{S}*{S} + (-1) > 15", [1, 2, 3, 4]),
        (f"{S} ** 2 - 1 > 15", [1, 2, 3, 4]),
        (f"(-{S}) < -4", [1, 2, 3, 4]),
        (f"not {S} == 4", [4]),
        (f"{S} == 1 or {S} == 2", [3, 4, 7, 8]),
        (f"{S} > 1 and {S} < 4", [1, 4, 7, 8]),
        (f"{S} == {T}", [1, 2, 3, 7, 8]),
        (f"max({S}, 3) == {S}", [1, 2]),
        (f"min({S}, 3) == {S}", [4, 7, 8]),
        (f"torch.sym_max({S}, 3) == {S}", [1, 2]),
        (f"torch.sym_min({S}, 3) == {S}", [4, 7, 8]),
        ("L['x'].numel() > 20", [1, 2, 3]),
        ("L['x'].dim() == 2", []),
        ("L['x'].stride()[0] == 6", []),
        ("L['x'].size(0) > 4", [1, 2, 3, 4]),
        ("L['flat_args'][0].size()[0] > 4", [1, 2, 3, 4]),
        ("True", []),
        ("False", [1, 2, 3, 4, 7, 8]),
    ],
)
def test_every_operator_is_evaluated(guard, sizes):
    assert refused(guard) == sizes


def test_every_guard_must_hold():
    assert refused(f"{S} > 1", f"{S} < 8") == [1, 8]


@pytest.mark.parametrize(
    "guard", ["L['gone'] > 3", "x.y > 2", "f(1)", "1 //", f"{S} / 0 > 1", "L['x'] == 'a", "[1]", f"{S} @ 2", ""]
)
def test_a_guard_that_is_not_understood_is_left_out(guard):
    assert refused(guard) == []


def test_bounds_and_their_neighbours_are_tried():
    accepts = acceptance(program(["x"], torch.ones(5)), (), (dim(bounds=(5, 12)),))
    assert [int(setting.rpartition(" ")[2]) for setting in accepts] == [1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13]


def test_dims_of_one_name_change_together():
    accepts = acceptance(program(["x", "y"], torch.ones(5), torch.ones(5)), (f"{S} == {T}",), (dim(), dim("args[1]")))
    assert accepts["args[0].size(0) and args[1].size(0) = 3"]


@pytest.mark.parametrize("text", ["Dim.AUTO", "Dim.DYNAMIC", "Dim.STATIC", "4"])
def test_dims_of_a_hint_change_one_by_one(text):
    accepts = acceptance(
        program(["x", "y"], torch.ones(5), torch.ones(5)), (f"{S} == {T}",), (dim(text=text), dim("args[1]", text=text))
    )
    assert not accepts["args[0].size(0) = 3"]


def test_without_declared_dims_or_examples_nothing_is_tried():
    given = program(["x"], torch.ones(5))
    assert acceptance(given, ("False",), ()) == {}
    given.example_inputs = None
    assert acceptance(given, ("False",), (dim(),)) == {}


@pytest.mark.parametrize("leaf", [3, None, "text", torch.eye(2).to_sparse(), torch.tensor(1.0)])
def test_inputs_that_have_no_dims_stay(leaf):
    assert acceptance(program(["x", "y"], torch.ones(4), leaf), (f"{S} < 4",), (dim(),))["args[0].size(0) = 7"] is False


def accepted(forward, shapes, *args, **kwargs) -> Mapping[str, bool]:
    """What the guards of a real program accept."""
    module = type("Net", (torch.nn.Module,), {"forward": forward})()
    exported = torch.export.export(module, args, kwargs, dynamic_shapes=shapes)
    declared = declared_dims(module, Inputs("", args, kwargs), shapes)
    return acceptance(exported, tuple(exported._guards_code), declared)


def big(tensor):
    return tensor + 1 if tensor.shape[0] > 3 else tensor - 1


def by_position(self, x):
    return big(x)


def variadic(self, *tensors):
    return big(tensors[1])


def after_another(self, x, *rest):
    return big(rest[0])


def by_keyword(self, *, x):
    return big(x)


def any_keywords(self, **tensors):
    return big(tensors["x"])


def nested(self, tree):
    return big(tree["x"][0])


def point(self, given):
    return big(given.a)


D, X = {0: Dim.DYNAMIC}, torch.ones(5, 2)
NAMED_KEYWORDS = pytest.mark.skipif(
    torch.__version__ < "2.14", reason="torch 2.13 refuses dynamic shapes of variadic keywords by their parameter"
)


EVERY_WAY = pytest.mark.parametrize(
    ("forward", "shapes", "args", "kwargs", "place"),
    [
        (by_position, {"x": D}, (X,), {}, "args[0]"),
        (variadic, {"tensors": (None, D)}, (torch.ones(2, 2), X), {}, "args[1]"),
        (after_another, {"x": None, "rest": (D,)}, (torch.ones(2, 2), X), {}, "args[1]"),
        (by_keyword, {"x": D}, (), {"x": X}, "kwargs['x']"),
        pytest.param(any_keywords, {"tensors": {"x": D}}, (), {"x": X}, "kwargs['x']", marks=NAMED_KEYWORDS),
        (nested, {"tree": {"x": [D]}}, ({"x": [X]},), {}, "args[0]['x'][0]"),
        (point, {"given": [D, None]}, (Point(X, X.clone()),), {}, "args[0].a"),
    ],
)


@EVERY_WAY
def test_every_way_to_name_an_input_is_understood(forward, shapes, args, kwargs, place):
    accepts = accepted(forward, shapes, *args, **kwargs)
    assert (accepts[f"{place}.size(0) = 3"], accepts[f"{place}.size(0) = 4"]) == (False, True)


def test_a_derived_dim_changes_with_its_root():
    root = Dim("b", min=2, max=20)

    def forward(self, x, y):
        return torch.cat([x, x]) + y

    accepts = accepted(forward, {"x": {0: root}, "y": {0: 2 * root}}, torch.ones(5), torch.ones(10))
    assert True in accepts.values()


A, B = (sympy.Symbol(name, integer=True) for name in "ab")
SIZES = {("args[0]", 0): A, ("args[0]", 1): sympy.Integer(6), ("args[1]", 0): B}


def relations(*guards, dims=SIZES):
    """The guards as relations, where ``x`` is a-by-6 and ``y`` has b elements."""
    given = program(["x", "y"], torch.ones(4, 6), torch.ones(4))
    given._guards_code = list(guards)
    return guard_conditions(given, dims)


@pytest.mark.parametrize(
    ("guard", "relation"),
    [
        (f"{S} == 4", sympy.Eq(A, 4)),
        (f"4 == {S}", sympy.Eq(4, A)),
        (f"{S} != 4", sympy.Ne(A, 4)),
        (f"{S} < 4", A < 4),
        (f"{S} <= 4", A <= 4),
        (f"{S} > 4", A > 4),
        (f"{S} >= 4", A >= 4),
        (f"2 <= {S} <= 4", sympy.And(A >= 2, A <= 4)),
        (f"({S} % 2) == 0", sympy.Eq(sympy.Mod(A, 2), 0)),
        (f"({S} // 2) == 2", sympy.Eq(sympy.floor(A / 2), 2)),
        (f"({S} / 2) > 1", A / 2 > 1),
        (f"{S}*{T} + (-1) > 15", A * B - 1 > 15),
        (f"{S} ** 2 > 15", A**2 > 15),
        (f"(-{S}) < -4", -A < -4),
        (f"not {S} == 4", sympy.Ne(A, 4)),
        (f"not {S} < 4", A >= 4),
        (f"{S} == 1 or {S} == 2", sympy.Or(sympy.Eq(A, 1), sympy.Eq(A, 2))),
        (f"{S} > 1 and {T} < 4", sympy.And(A > 1, B < 4)),
        (f"{S} == {T}", sympy.Eq(A, B)),
        (f"max({S}, 3) == {T}", sympy.Eq(sympy.Max(A, 3), B)),
        (f"min({S}, {T}) == 3", sympy.Eq(sympy.Min(A, B), 3)),
        (f"torch.sym_max({S}, 3) < {T}", sympy.Max(A, 3) < B),
        ("L['x'].numel() > 20", 6 * A > 20),
        ("L['x'].size(0) > L['x'].size()[1]", A > 6),
        ("L['flat_args'][1].size()[0] > 4", B > 4),
    ],
)
def test_a_guard_is_a_relation_between_sizes(guard, relation):
    assert relations(guard) == [relation]


@pytest.mark.parametrize(
    "guard",
    ["True", "L['x'].dim() == 2", "L['x'].stride()[0] == 6", "L['gone'] > 3", "f(1)", "1 //",
     "L['x'] == 'a'", f"{S} @ 2", "", f"{S} > 1 and L['x'].stride()[0] == 6", "L['x'].size()[9] > 2"],
)  # fmt: skip
def test_a_guard_about_something_else_is_no_relation(guard):
    assert relations(guard) == []


def test_a_guard_about_a_static_size_is_decided():
    assert relations("L['x'].size()[1] == 7", "L['x'].size()[1] == 6") == [sympy.false, sympy.true]


def test_each_guard_is_a_relation_of_its_own():
    assert relations(f"{S} > 4", "f(1)", f"{T} > 4") == [A > 4, B > 4]


@pytest.mark.parametrize("without", ["guards", "spec"])
def test_a_program_without_guards_has_no_relations(without):
    given = program(["x"], torch.ones(4, 6))
    if without == "spec":
        given.call_spec.in_spec, given._guards_code = None, [f"{S} > 4"]
    assert guard_conditions(given, SIZES) == []


@EVERY_WAY
def test_relations_name_inputs_in_every_way(forward, shapes, args, kwargs, place):
    module = type("Net", (torch.nn.Module,), {"forward": forward})()
    exported = torch.export.export(module, args, kwargs, dynamic_shapes=shapes)
    assert guard_conditions(exported, {(place, 0): A, (place, 1): sympy.Integer(2)}) == [A > 3]
