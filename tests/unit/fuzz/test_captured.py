"""What a captured program says of sizes: symbols under the names of places, ranges, guards."""

from __future__ import annotations

import io
from dataclasses import dataclass

import pytest
import torch
from sympy import Eq, Ne
from torch.export import Dim

from pytest_exportcheck.fuzz.captured import captured_facts
from pytest_exportcheck.fuzz.size_facts import root_symbol
from pytest_exportcheck.records import Interval

B = Dim("b", min=2, max=10)
X, TWICE = torch.ones(4, 3), torch.ones(8, 3)


@dataclass
class Point:
    a: object
    b: object


torch.export.register_dataclass(Point, serialized_type_name="test_fuzz_captured.Point")


def exported(forward, shapes, *args, **kwargs):
    module = type("Net", (torch.nn.Module,), {"forward": forward})()
    return torch.export.export(module, args, kwargs, dynamic_shapes=shapes)


def dims_of(program):
    """Place -> its sizes, as text."""
    found: dict[str, list[str]] = {}
    for (place, _), expr in captured_facts(program).dims.items():
        found.setdefault(place, []).append(str(expr))
    return found


def accepted(program, name, most=24):
    """The sizes of one root that meet the facts."""
    facts = captured_facts(program)
    assert list(facts.roots) == [name]
    return [size for size in range(most) if facts.holds({name: size})]


def one(self, x):
    return x + 1


def equal(self, x, y):
    return x + y


def twice(self, x, y):
    return torch.cat([x, x]) + y


def shorter(self, x, y):
    return x + 1 if x.shape[0] < y.shape[0] else x


def test_a_static_program_has_no_root():
    facts = captured_facts(exported(one, None, X))
    assert (facts.roots, facts.conditions) == ({}, ())
    assert facts.dims == {("args[0]", 0): 4, ("args[0]", 1): 3}


def test_a_symbol_is_named_after_its_place_and_has_its_range():
    facts = captured_facts(exported(one, ({0: B},), X))
    assert facts.roots == {"args[0].size(0)": Interval(2, 10)}
    assert facts.dims == {("args[0]", 0): root_symbol("args[0].size(0)"), ("args[0]", 1): 3}
    assert facts.promised == frozenset()


def test_a_range_without_an_end_has_none():
    facts = captured_facts(exported(one, ({0: Dim.DYNAMIC},), X))
    assert facts.roots["args[0].size(0)"].upper is None


def test_several_dims_are_several_roots():
    facts = captured_facts(exported(one, ({0: B, 1: Dim("w", max=6)},), X))
    assert list(facts.roots) == ["args[0].size(0)", "args[0].size(1)"]
    assert facts.roots["args[0].size(1)"].upper == 6


def test_dims_that_are_equal_have_the_name_of_the_first():
    program = exported(equal, ({0: B}, {0: B}), X, X)
    assert dims_of(program) == {"args[0]": ["args[0].size(0)", "3"], "args[1]": ["args[0].size(0)", "3"]}


def test_a_derived_dim_is_an_expression():
    program = exported(twice, ({0: B}, {0: 2 * B}), X, TWICE)
    assert dims_of(program)["args[1]"] == ["2*args[0].size(0)", "3"]
    assert accepted(program, "args[0].size(0)") == list(range(2, 11))


def test_a_symbol_that_stands_nowhere_alone_keeps_its_name():
    program = exported(one, ({0: 2 * B},), X)
    ((root, _),) = captured_facts(program).roots.items()
    assert dims_of(program)["args[0]"] == [f"2*{root}", "3"]
    assert accepted(program, root) == list(range(2, 11))


def at_most_six(self, x):
    return x + 1 if x.shape[0] <= 6 else x


def even(self, x):
    return x.reshape(2, -1)  # 2 itself would be another view


def not_seven(self, x):
    return x + 1 if x.shape[0] != 7 else x


@pytest.mark.parametrize(
    ("forward", "sizes"),
    [
        (at_most_six, [2, 3, 4, 5, 6]),
        (even, [4, 6, 8, 10, 12, 14, 16, 18, 20, 22]),
        (not_seven, [2, 3, 4, 5, 6, *range(8, 24)]),
    ],
)
def test_guards_are_conditions(forward, sizes):
    program = exported(forward, ({0: Dim.AUTO(min=2)},), X)
    assert accepted(program, "args[0].size(0)") == sizes


def test_a_guard_between_two_inputs_is_a_condition_on_both():
    facts = captured_facts(exported(shorter, ({0: Dim.AUTO}, {0: Dim.AUTO}), X, TWICE))
    names = ("args[0].size(0)", "args[1].size(0)")
    every = [(x, y) for x in range(2, 6) for y in range(2, 6)]
    assert [pair for pair in every if facts.holds(dict(zip(names, pair, strict=True)))] == [
        (x, y) for x, y in every if x < y
    ]


def variadic(self, *tensors):
    return tensors[0] + tensors[1]


def by_keyword(self, *, y, x):
    return x + 1, y


def any_keywords(self, **tensors):
    return tensors["x"] + 1


def nested(self, tree):
    return tree["x"][0] + 1


def point(self, given):
    return given.b + 1


def scaled(self, x, factor):
    return x * factor


D = {0: Dim.DYNAMIC}
NAMED_KEYWORDS = pytest.mark.skipif(
    torch.__version__ < "2.14", reason="torch 2.13 refuses dynamic shapes of variadic keywords by their parameter"
)


@pytest.mark.parametrize(
    ("forward", "shapes", "args", "kwargs", "place"),
    [
        (variadic, {"tensors": (None, D)}, (torch.ones(1, 3), X), {}, "args[1]"),
        (by_keyword, {"x": D, "y": None}, (), {"x": X, "y": TWICE}, "kwargs['x']"),
        (by_keyword, {"x": D, "y": None}, (), {"y": TWICE, "x": X}, "kwargs['x']"),
        pytest.param(any_keywords, {"tensors": {"x": D}}, (), {"x": X}, "kwargs['x']", marks=NAMED_KEYWORDS),
        (nested, {"tree": {"x": [D]}}, ({"x": [X]},), {}, "args[0]['x'][0]"),
        (point, {"given": [None, D]}, (Point(X, X.clone()),), {}, "args[0].b"),
        (scaled, {"x": D, "factor": None}, (X, 3), {}, "args[0]"),
        (scaled, {"x": D, "factor": None}, (X,), {"factor": 2.0}, "args[0]"),
    ],
)
def test_inputs_are_found_at_their_places(forward, shapes, args, kwargs, place):
    facts = captured_facts(exported(forward, shapes, *args, **kwargs))
    assert list(facts.roots) == [f"{place}.size(0)"]
    assert facts.dims[place, 0] == root_symbol(f"{place}.size(0)")


def test_an_input_without_dims_has_none():
    program = exported(equal, ({0: B}, None), X, torch.tensor(1.0))
    assert set(captured_facts(program).dims) == {("args[0]", 0), ("args[0]", 1)}


def loaded(program):
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    return torch.export.load(file)


@pytest.mark.parametrize("edge", [lambda program: program.run_decompositions(), loaded])
def test_a_lowered_and_a_loaded_program_say_the_same(edge):
    program = exported(twice, ({0: B}, {0: 2 * B}), X, TWICE)
    before, after = captured_facts(program), captured_facts(edge(program))
    assert (after.roots, after.dims) == (before.roots, before.dims)
    assert accepted(edge(program), "args[0].size(0)") == list(range(2, 11))


@pytest.mark.parametrize("edge", [lambda program: program.run_decompositions(), loaded])
def test_guards_outlast_lowering_and_loading(edge):
    program = exported(not_seven, ({0: Dim.DYNAMIC},), X)
    assert 7 not in accepted(edge(program), "args[0].size(0)")


def test_relations_are_sympy_over_the_names():
    facts = captured_facts(exported(not_seven, ({0: Dim.DYNAMIC(min=2, max=9)},), X))
    assert set(facts.conditions) == {Ne(root_symbol("args[0].size(0)"), 7)}


def test_a_tie_between_hints_is_one_symbol():
    facts = captured_facts(exported(equal, ({0: Dim.AUTO}, {0: Dim.AUTO}), X, X))
    assert Eq(facts.dims["args[0]", 0], facts.dims["args[1]", 0])
