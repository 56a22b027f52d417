"""Builders of the functions of an expression from their arguments, as the text has them: nothing is simplified.

The text states what the saved program had in memory, and the builders make the same objects. sympy and torch would
evaluate the expression with the rules of their installed version, and a crafted text could keep them busy without
limit.
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
    """Return a builder for a function that has an ``evaluate`` switch."""
    return lambda *args: function(*args, evaluate=False)


def plain(function: Any) -> Builder:
    """Return a builder for a function whose constructor always simplifies."""
    return lambda *args: sympy.Basic.__new__(function, *args)


def pair(expression: Any, condition: Any) -> Any:
    """Return a branch of a ``Piecewise``."""
    return sympy.Tuple.__new__(sympy.functions.elementary.piecewise.ExprCondPair, expression, condition)


def divided(function: Any) -> Builder:
    """Return a builder for a division, which refuses a division by zero here, not only when a guard requests the
    value.
    """

    def build(*args: Any) -> Any:
        if args[1] == 0:
            raise ZeroDivisionError("division by zero")
        return function(*args, evaluate=False)

    return build


def total(*terms: Any) -> Any:
    """Return a sum, with its terms in the order in which sympy holds them; the text has them in the order in which they
    are read.
    """
    return sympy.Add(*_in_order(terms), evaluate=False)


def product(*factors: Any) -> Any:
    """Return a product. ``srepr`` writes a negative number in front as minus one and its opposite."""
    first, *rest = _in_order(factors)
    if first is sympy.S.NegativeOne and rest[0].is_Number and rest[0].is_extended_positive:
        first, *rest = -rest[0], *rest[1:]
    return sympy.Mul(first, *rest, evaluate=False) if rest else first


def _in_order(args: tuple[Any, ...]) -> list[Any]:
    """Return the arguments with numbers first."""
    return sorted(args, key=lambda each: (not each.is_Number, _canonical(each)))


def lattice(function: Any) -> Builder:
    """Return a builder for ``And``, ``Or`` and ``Xor``, whose arguments are a set of conditions."""

    def build(*args: Any) -> Any:
        distinct = frozenset(args)
        if len(distinct) == 1:
            return args[0]
        made = sympy.Basic.__new__(function, *sympy.ordered(distinct))
        made._argset = distinct
        return made

    return build


def root(base: Any) -> Any:
    """Return the square root, as the infix form has it."""
    return sympy.Pow(base, sympy.S.Half, evaluate=False)


def remainder(left: Any, right: Any) -> Any:
    """Return Python's ``%`` as the function that torch has for numbers of these signs."""
    whole = left.is_nonnegative and right.is_nonnegative
    return divided(size_functions.Mod if whole else size_functions.PythonMod)(left, right)


# torch has no unevaluated form of these three: torch writes them into no file, but its reader accepts them.


def left_shift(base: Any, shift: Any) -> Any:
    """Return Python's ``<<`` as a product with a power of two."""
    return base * size_functions.PowByNatural(sympy.Integer(2), _natural(shift))


def right_shift(base: Any, shift: Any) -> Any:
    """Return Python's ``>>`` as a floor division by a power of two."""
    divisor = size_functions.PowByNatural(sympy.Integer(2), _natural(shift))
    return size_functions.FloorDiv(base, divisor, evaluate=False)


def ceiling_division(base: Any, divisor: Any) -> Any:
    """Return a division that rounds up, as a floor division."""
    return divided(size_functions.FloorDiv)(base + (divisor - 1), divisor)


def _natural(shift: Any) -> Any:
    if shift.is_negative:
        raise ValueError("negative shift count")
    return shift
