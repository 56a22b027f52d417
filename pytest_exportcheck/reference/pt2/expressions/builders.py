"""How a function of an expression is made of its arguments, as the text has it: nothing is simplified.

The text says what the program that was saved had in memory, and that is what is made of it again; sympy and torch, asked to
evaluate, would simplify it with the means of this version, and spend as long on a crafted text as its author likes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cmp_to_key
from typing import Any

import sympy

from pytest_exportcheck.reference._torch.sizes import size_functions

Builder = Callable[..., Any]

_canonical = cmp_to_key(sympy.Basic.compare)


def unevaluated(function: Any) -> Builder:
    """For a function with a switch for it."""
    return lambda *args: function(*args, evaluate=False)


def plain(function: Any) -> Builder:
    """For a function whose constructor simplifies in any case."""
    return lambda *args: sympy.Basic.__new__(function, *args)


def pair(expression: Any, condition: Any) -> Any:
    """A branch of a ``Piecewise``."""
    return sympy.Tuple.__new__(sympy.functions.elementary.piecewise.ExprCondPair, expression, condition)


def divided(function: Any) -> Builder:
    """For a division, which by zero is refused here rather than when a guard asks for its value."""

    def build(*args: Any) -> Any:
        if args[1] == 0:
            raise ZeroDivisionError("division by zero")
        return function(*args, evaluate=False)

    return build


def total(*terms: Any) -> Any:
    """A sum, its terms in the order in which sympy holds them; the text has them in the order in which they are read."""
    return sympy.Add(*_in_order(terms), evaluate=False)


def product(*factors: Any) -> Any:
    """A product. ``srepr`` writes a negative number in front as minus one and its opposite."""
    first, *rest = _in_order(factors)
    if first is sympy.S.NegativeOne and rest[0].is_Number and rest[0].is_extended_positive:
        first, *rest = -rest[0], *rest[1:]
    return sympy.Mul(first, *rest, evaluate=False) if rest else first


def _in_order(args: tuple[Any, ...]) -> list[Any]:
    """Numbers first."""
    return sorted(args, key=lambda each: (not each.is_Number, _canonical(each)))


def lattice(function: Any) -> Builder:
    """For ``And``, ``Or`` and ``Xor``, which are of a set of conditions."""

    def build(*args: Any) -> Any:
        distinct = frozenset(args)
        if len(distinct) == 1:
            return args[0]
        made = sympy.Basic.__new__(function, *sympy.ordered(distinct))
        made._argset = distinct
        return made

    return build


def root(base: Any) -> Any:
    """The square root, as the infix form has it."""
    return sympy.Pow(base, sympy.S.Half, evaluate=False)


def remainder(left: Any, right: Any) -> Any:
    """Python's ``%``, by the function that torch has for numbers of these signs."""
    whole = left.is_nonnegative and right.is_nonnegative
    return divided(size_functions.Mod if whole else size_functions.PythonMod)(left, right)


# torch has no unevaluated form of these three: no file that it wrote names them, but its reader takes them.


def left_shift(base: Any, shift: Any) -> Any:
    return base * size_functions.PowByNatural(sympy.Integer(2), _natural(shift))


def right_shift(base: Any, shift: Any) -> Any:
    divisor = size_functions.PowByNatural(sympy.Integer(2), _natural(shift))
    return size_functions.FloorDiv(base, divisor, evaluate=False)


def ceiling_division(base: Any, divisor: Any) -> Any:
    return divided(size_functions.FloorDiv)(base + (divisor - 1), divisor)


def _natural(shift: Any) -> Any:
    if shift.is_negative:
        raise ValueError("negative shift count")
    return shift
