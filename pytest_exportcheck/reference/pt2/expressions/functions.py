"""Functions and constants that an expression may have, by name. Nothing else is made of a text, or written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import sympy
from sympy.functions.elementary.piecewise import ExprCondPair
from sympy.logic.boolalg import Boolean

from pytest_exportcheck.reference._torch.sizes import int_oo, size_functions
from pytest_exportcheck.reference.pt2.expressions import builders
from pytest_exportcheck.reference.pt2.expressions.limits import BITS, LENGTH

#: Argument values and how many bits each may have -> how many bits the value of the function may have.
Growth = Callable[[Sequence[Any], Sequence[int]], int]

NUMBER, CONDITION, EITHER, BRANCH = "a number", "a condition", "a number or a condition", "an ExprCondPair"
#: Types that a function may take, by the name that messages give them. A symbol is both a number and a condition.
KINDS: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {NUMBER: (sympy.Expr,), CONDITION: (Boolean,), EITHER: (sympy.Expr, Boolean), BRANCH: (ExprCondPair,)}
)
ONE, TWO, THREE = range(1, 2), range(2, 3), range(3, 4)
SEVERAL, SOME, EVEN = range(2, LENGTH), range(1, LENGTH), range(2, LENGTH, 2)


def widest(_args: Sequence[Any], bits: Sequence[int]) -> int:
    """Return the bits of a value that is not larger than its largest argument."""
    return max(bits)


def summed(_args: Sequence[Any], bits: Sequence[int]) -> int:
    """Return the bits of a sum."""
    return max(bits) + len(bits).bit_length()


def multiplied(_args: Sequence[Any], bits: Sequence[int]) -> int:
    """Return the bits of a product."""
    return sum(bits)


def raised(args: Sequence[Any], bits: Sequence[int]) -> int:
    """Return the bits of a power; a power of unknown size counts as too large."""
    exponent = args[1]
    if not exponent.is_Number or not exponent.is_finite or exponent.is_infinite:
        return BITS + 1
    return int(bits[0] * (abs(int(exponent)) + 1)) if abs(exponent) > 1 else bits[0]


def raised_by_natural(args: Sequence[Any], bits: Sequence[int]) -> int:
    """Return the bits of a power that torch bounds for two numbers, while sympy raises a symbol to a number."""
    return raised(args, bits) if args[1].is_Integer else max(bits)


@dataclass(frozen=True)
class Function:
    """A row of the table: how the function is made, how many arguments it takes and of which kind; the last kind
    repeats.
    """

    build: builders.Builder
    arity: range
    kinds: tuple[str, ...] = (NUMBER,)
    growth: Growth = widest

    def kind(self, place: int) -> str:
        """Return the kind of the argument at this place."""
        return self.kinds[min(place, len(self.kinds) - 1)]


_divided, _unevaluated, _lattice = builders.divided, builders.unevaluated, builders.lattice

_ARITHMETIC = {
    "Add": Function(builders.total, SEVERAL, growth=summed),
    "Mul": Function(builders.product, SEVERAL, growth=multiplied),
    "Pow": Function(_unevaluated(sympy.Pow), TWO, growth=raised),
    "Abs": Function(_unevaluated(sympy.Abs), ONE),
    "floor": Function(_unevaluated(sympy.floor), ONE),
    "ceiling": Function(_unevaluated(sympy.ceiling), ONE),
    "log": Function(_unevaluated(sympy.log), ONE),
    "exp": Function(_unevaluated(sympy.exp), ONE),
    "sqrt": Function(builders.root, ONE),
    "Piecewise": Function(builders.plain(sympy.Piecewise), SOME, (BRANCH,)),
    "ExprCondPair": Function(builders.pair, TWO, (EITHER, CONDITION)),
}
_RELATIONS = {
    "Equality": Function(_unevaluated(sympy.Eq), TWO, (EITHER,)),
    "Unequality": Function(_unevaluated(sympy.Ne), TWO, (EITHER,)),
    "StrictLessThan": Function(_unevaluated(sympy.Lt), TWO),
    "LessThan": Function(_unevaluated(sympy.Le), TWO),
    "StrictGreaterThan": Function(_unevaluated(sympy.Gt), TWO),
    "GreaterThan": Function(_unevaluated(sympy.Ge), TWO),
}
_SHORT = {
    "Eq": "Equality",
    "Ne": "Unequality",
    "Lt": "StrictLessThan",
    "Le": "LessThan",
    "Gt": "StrictGreaterThan",
    "Ge": "GreaterThan",
}
_LOGIC = {
    "And": Function(_lattice(sympy.And), SEVERAL, (CONDITION,)),
    "Or": Function(_lattice(sympy.Or), SEVERAL, (CONDITION,)),
    "Xor": Function(_lattice(sympy.Xor), SEVERAL, (CONDITION,)),
    "Not": Function(_unevaluated(sympy.Not), ONE, (CONDITION,)),
    "ITE": Function(builders.plain(sympy.ITE), THREE, (CONDITION,)),
}
_SHIFTS = {
    "CeilDiv": Function(builders.ceiling_division, TWO, growth=summed),
    "LShift": Function(builders.left_shift, TWO, growth=multiplied),
    "RShift": Function(builders.right_shift, TWO),
}
_OPAQUE = ("sqrt", "cos", "cosh", "sin", "sinh", "tan", "tanh", "asin", "acos", "atan", "asinh", "exp", "log", "log2")
_TO_WHOLE = ("CeilToInt", "FloorToInt", "TruncToInt", "RoundToInt")
#: torch's own functions, by their names in torch.utils._sympy.functions: how they are made, and the rest of their rows.
_TORCH: tuple[tuple[Callable[[Any], builders.Builder], range, tuple[str, ...], Growth, tuple[str, ...]], ...] = (
    (_divided, TWO, (NUMBER,), widest, ("FloorDiv", "CleanDiv", "Mod", "PythonMod", "IntTrueDiv", "FloatTrueDiv")),
    (_divided, THREE, (NUMBER,), widest, ("ModularIndexing",)),
    (_unevaluated, ONE, (NUMBER,), widest, (*_TO_WHOLE, "TruncToFloat", "ToFloat", "Identity")),
    (_unevaluated, ONE, (NUMBER,), widest, tuple(f"OpaqueUnaryFn_{name}" for name in _OPAQUE)),
    (_unevaluated, TWO, (NUMBER,), widest, ("FloatPow", "RoundDecimal")),
    (_unevaluated, TWO, (NUMBER,), raised_by_natural, ("PowByNatural",)),
    (_unevaluated, TWO, (EITHER,), widest, tuple(f"BitwiseFn_bitwise_{name}" for name in ("and", "or", "xor"))),
    (_unevaluated, THREE, (CONDITION, NUMBER), widest, ("Where",)),
    (_unevaluated, SEVERAL, (NUMBER,), widest, ("Max", "Min")),
    (_unevaluated, EVEN, (NUMBER,), widest, ("IsNonOverlappingAndDenseIndicator",)),
)
_OWN: Mapping[str, Function] = {
    name: Function(make(getattr(size_functions, name)), arity, kinds, growth)
    for make, arity, kinds, growth, names in _TORCH
    for name in names
    if hasattr(size_functions, name)  # not every version has each
}

FUNCTIONS: Mapping[str, Function] = MappingProxyType(
    {
        **_ARITHMETIC,
        **_RELATIONS,
        **{short: _RELATIONS[name] for short, name in _SHORT.items()},
        **_LOGIC,
        **_SHIFTS,
        **_OWN,
    }
)

CONSTANTS: Mapping[str, Any] = MappingProxyType(
    {
        "oo": sympy.oo,
        "Infinity": sympy.oo,
        "NegativeInfinity": -sympy.oo,
        "zoo": sympy.zoo,
        "ComplexInfinity": sympy.zoo,
        "nan": sympy.nan,
        "NaN": sympy.nan,
        "int_oo": int_oo,
        "true": sympy.true,
        "True": sympy.true,
        "false": sympy.false,
        "False": sympy.false,
        "pi": sympy.pi,
        "E": sympy.E,
        "I": sympy.I,
    }
)

#: The classes that may be written; srepr gives each the name under which it is read. torch's reader makes sympy's own
#: ``Max``, ``Min`` and ``Mod`` of the names that torch's classes have; this reader makes torch's.
WRITABLE: frozenset[Any] = frozenset(
    {
        *(sympy.Add, sympy.Mul, sympy.Pow, sympy.Abs, sympy.floor, sympy.ceiling, sympy.log, sympy.exp),
        *(sympy.Piecewise, ExprCondPair, sympy.Eq, sympy.Ne, sympy.Lt, sympy.Le, sympy.Gt, sympy.Ge),
        *(sympy.And, sympy.Or, sympy.Xor, sympy.Not, sympy.ITE, sympy.Max, sympy.Min, sympy.Mod),
        *(getattr(size_functions, name) for name in _OWN),
    }
)
