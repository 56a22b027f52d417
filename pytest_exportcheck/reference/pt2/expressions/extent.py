"""The extent of a size after torch multiplies it out, each symbol minus its lower bound, to compare it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import sympy

from pytest_exportcheck.errors import ExpressionError
from pytest_exportcheck.reference._torch.sizes import size_functions
from pytest_exportcheck.reference.pt2.expressions.limits import PRODUCT_TERMS, TERMS

_EXTREMES = (sympy.Max, sympy.Min, size_functions.Max, size_functions.Min)


def check_extent(expression: Any) -> None:
    """Refuse an expression that would keep torch busy.

    Raises
    ------
    ExpressionError
        With the extent of the expression.
    """
    terms, degree, inner = _extent(expression)
    _refuse(max(terms * max(degree, 1), inner), TERMS, "an expression")


def check_tensor(sizes: Sequence[Any], strides: Sequence[Any]) -> None:
    """Refuse sizes and strides, expressions or numbers, whose products would keep torch busy.

    Raises
    ------
    ExpressionError
        As for one expression.
    """
    _check_product([*sizes], "the product of a tensor's sizes")
    for size, stride in zip(sizes, strides, strict=False):
        _check_product([size, stride], "the product of a tensor's size and its stride")


def _check_product(factors: Sequence[Any], what: str) -> None:
    count, power = 1, 0
    for factor in factors:
        terms, degree, _ = _extent(factor if isinstance(factor, sympy.Basic) else sympy.Integer(factor))
        count, power = count * terms, power + degree
        _refuse(count * max(power, 1), PRODUCT_TERMS, what)


def _refuse(found: int, limit: int, what: str) -> None:
    if found > limit:
        raise ExpressionError(
            f"{what} would have about {found} terms or factors when expanded; at most {limit} are allowed."
        )


def _extent(expression: Any) -> tuple[int, int, int]:
    """Return the terms of the expression, its degree, and the largest product of terms and degree among its functions'
    arguments.
    """
    if not expression.args:
        return (2, 1, 0) if expression.is_Symbol else (1, 0, 0)
    parts = [_extent(each) for each in expression.args]
    inner = max(each for _, _, each in parts)
    if expression.is_Add:
        return _bounded(sum(terms for terms, _, _ in parts), max(degree for _, degree, _ in parts), inner)
    if expression.is_Mul:
        return _bounded(math.prod(terms for terms, _, _ in parts), sum(degree for _, degree, _ in parts), inner)
    if expression.is_Pow and expression.exp.is_Integer and expression.exp.is_positive:
        terms, degree, _ = parts[0]
        power = min(int(expression.exp), TERMS)
        return _bounded(math.comb(power + terms - 1, min(terms - 1, power, 64)), degree * power, inner)
    if isinstance(expression, _EXTREMES):
        inner = max(inner, 4 * len(parts) ** 2)  # each is compared with each
    return 1, 1, max(inner, *(terms * max(degree, 1) for terms, degree, _ in parts))


def _bounded(terms: int, degree: int, inner: int) -> tuple[int, int, int]:
    return min(terms, TERMS + 1), min(degree, TERMS), inner
