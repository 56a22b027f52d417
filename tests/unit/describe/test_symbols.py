"""Symbols under names that two programs agree on."""

from __future__ import annotations

import pytest
import sympy
import torch
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.utils._sympy.value_ranges import ValueRanges

from pytest_exportcheck.describe.symbols import Symbols, interval_of
from pytest_exportcheck.records import Interval, Size


@pytest.fixture
def environment():
    return ShapeEnv()


def backed(environment, hint, name):
    from torch._dynamo.source import ConstantSource

    symbol = environment.create_symbol(hint, source=ConstantSource(name), dynamic_dim=_dynamic())
    return environment.create_symintnode(symbol, hint=hint)


def _dynamic():
    from torch.fx.experimental.symbolic_shapes import DimDynamic

    return DimDynamic.DYNAMIC


def test_a_symbol_is_named_after_the_input_dim_that_fixes_it(environment):
    symbols, size = Symbols(), backed(environment, 5, "a")
    symbols.introduce("args[0]", (3, size))
    assert str(symbols.size(size)) == "args[0].size(1)"
    assert str(symbols.size(size * 2 + 1)) == "2*args[0].size(1) + 1"


def test_a_condition_that_always_holds_is_a_truth_value(environment):
    size = backed(environment, 5, "a")
    assert Symbols().size(sympy.true) is True
    assert Symbols().size(sympy.Ne(size.node.expr, size.node.expr)) is False


def test_the_first_input_that_has_a_symbol_names_it(environment):
    symbols, size = Symbols(), backed(environment, 5, "a")
    for place in ("args[0]", "args[1]"):
        symbols.introduce(place, (size,))
    assert str(symbols.size(size)) == "args[0].size(0)"


def test_a_dim_that_is_an_expression_names_nothing(environment):
    symbols, size = Symbols(), backed(environment, 5, "a")
    symbols.introduce("args[0]", (size * 2,))
    symbols.introduce("args[1]", (size,))
    assert str(symbols.size(size * 2)) == "2*args[1].size(0)"


def test_unbacked_symbols_are_named_in_order_of_appearance(environment):
    for _ in range(3):
        environment.create_unbacked_symint()  # other programs have used up some names
    first, second = environment.create_unbacked_symint(), environment.create_unbacked_symint()
    symbols = Symbols()
    assert [str(symbols.size(each)) for each in (second, first, second)] == ["u0", "u1", "u0"]


def test_symbols_that_first_appear_together_have_the_same_names_in_another_program():
    texts = []
    for used in (0, 9):  # u0 and u1; u9 and u10, which sort the other way round as text
        environment = ShapeEnv()
        for _ in range(used):
            environment.create_unbacked_symint()
        one, other = environment.create_unbacked_symint(), environment.create_unbacked_symint()
        texts.append(str(Symbols().size(one * 2 + other)))
    assert texts[0] == texts[1]


@pytest.mark.parametrize(("value", "size"), [(3, 3), (sympy.Integer(3), 3), (0, 0), (True, True)])
def test_a_constant_is_a_number(value, size):
    assert Symbols().size(value) == size


def test_symbolic_booleans_and_floats_have_sizes(environment):
    symbols, size = Symbols(), backed(environment, 5, "a")
    symbols.introduce("x", (size,))
    assert str(symbols.size(size > 3)) == "x.size(0) > 3"
    assert "x.size(0)" in str(symbols.size(torch.sym_float(size) / 2))
    assert isinstance(symbols.size(environment.create_unbacked_symbool()), Size)
    assert isinstance(symbols.size(environment.create_unbacked_symfloat()), Size)


def test_assumptions_of_the_original_symbol_are_left_behind():
    sizes = [Symbols().size(sympy.Symbol("u0", integer=True, positive=flag)) for flag in (True, None)]
    assert sizes[0].expr == sizes[1].expr


def test_names_are_those_given_so_far(environment):
    symbols = Symbols()
    symbols.size(environment.create_unbacked_symint())
    assert symbols.names == {"u0"}


@pytest.mark.parametrize(
    ("bounds", "interval"),
    [
        ((0, 5), Interval(0, 5)),
        ((2, sympy.oo), Interval(2, None)),
        ((-sympy.oo, sympy.oo), Interval(None, None)),
        ((sympy.Rational(1, 2), sympy.Rational(7, 2)), Interval(1, 3)),
        ((1.5, 2.5), Interval(2, 2)),
        ((sympy.false, sympy.true), Interval(0, 1)),
    ],
)
def test_an_interval_holds_the_integers_of_a_range(bounds, interval):
    assert interval_of(ValueRanges(*bounds)) == interval


def test_infinity_as_torch_spells_it_for_integers_is_unbounded():
    from torch.utils._sympy.numbers import int_oo

    assert interval_of(ValueRanges(-int_oo, int_oo)) == Interval(None, None)
