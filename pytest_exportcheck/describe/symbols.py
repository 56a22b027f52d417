"""Symbols of a program under names that another program agrees on."""

from __future__ import annotations

from typing import Any

import sympy
import torch
from sympy.logic.boolalg import BooleanAtom

from pytest_exportcheck.records import Interval, Size

_SYMBOLIC = (torch.SymInt, torch.SymFloat, torch.SymBool)


class Symbols:
    """Names for a program's symbols: a backed one is named after the input dim that fixes it, an unbacked one by
    order.
    """

    def __init__(self) -> None:
        self._names: dict[Any, Any] = {}
        self._sizes: dict[Any, int | Size] = {}
        self._unbacked = 0

    def introduce(self, place: str, shape: tuple[Any, ...]) -> None:
        """Name the symbols that are the whole size of a dim of an input, unless they have a name already. Sizes are
        symbolic integers, or expressions.
        """
        for dim, size in enumerate(shape):
            expr = size.node.expr if isinstance(size, torch.SymInt) else size
            if isinstance(expr, sympy.Symbol) and expr not in self._names:
                self._name(expr, f"{place}.size({dim})")

    @property
    def names(self) -> frozenset[str]:
        """Return the names given so far."""
        return frozenset(map(str, self._names.values()))

    def size(self, value: Any) -> int | Size:
        """Return an int as it is; a symbolic number or a sympy expression as an int where it is constant, else as a
        Size.
        """
        if not isinstance(value, (*_SYMBOLIC, sympy.Basic)):
            number: int = value
            return number
        expr = value.node.expr if isinstance(value, _SYMBOLIC) else value
        if expr not in self._sizes:
            self._sizes[expr] = self._sized(expr)
        return self._sizes[expr]

    def _sized(self, expr: Any) -> int | Size:
        if isinstance(expr, BooleanAtom):  # a condition that holds always: files have a plain truth value for it
            return bool(expr)
        if isinstance(expr, bool) or expr.is_Integer:
            return int(expr)
        for symbol in sorted(expr.free_symbols, key=lambda each: (_role(each, expr), str(each))):
            if symbol not in self._names:
                self._name(symbol, self._next(symbol))
        renamed = expr.xreplace(self._names)
        return Size(str(renamed), renamed)

    def _next(self, symbol: Any) -> str:
        self._unbacked += 1
        return f"{str(symbol)[0]}{self._unbacked - 1}"

    def _name(self, symbol: Any, name: str) -> None:
        # Without the assumptions of the original: two programs may make different ones.
        self._names[symbol] = sympy.Symbol(name, integer=True)


def _role(symbol: Any, expr: Any) -> str:
    """Return the role of a symbol in an expression, independent of its name and the names of the others."""
    other = sympy.Symbol("b")
    return str(expr.xreplace({each: sympy.Symbol("a") if each is symbol else other for each in expr.free_symbols}))


def interval_of(bounds: Any) -> Interval:
    """Return a value range as an interval of integers: rational bounds tightened, infinities as None."""
    return Interval(_bound(bounds.lower, sympy.ceiling), _bound(bounds.upper, sympy.floor))


def _bound(value: Any, tighten: Any) -> int | None:
    if value in (sympy.oo, -sympy.oo) or "oo" in str(value):
        return None
    if isinstance(value, (sympy.logic.boolalg.BooleanAtom, bool)):
        return int(bool(value))
    return int(tighten(value))
