"""The solver of facts: which roots can be chosen freely, from which lattice, what follows from them, and what is left
to filter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import sympy
from sympy.ntheory.modular import solve_congruence

from pytest_exportcheck.fuzz.size_facts import Facts, evaluated, is_true, root_symbol


@dataclass(frozen=True)
class Axis:
    """The sizes that one root can be given: ``first``, ``first + step``, ... up to ``last`` (None: without end)."""

    name: str
    first: int
    step: int = 1
    last: int | None = None

    @property
    def count(self) -> int | None:
        """Return how many sizes there are; None where they have no end."""
        return None if self.last is None else max(0, (self.last - self.first) // self.step + 1)

    def has(self, size: int) -> bool:
        """Return whether the root can have this size."""
        return size >= self.first and (size - self.first) % self.step == 0 and (self.last is None or size <= self.last)

    def index(self, size: int) -> int:
        """Return the number of a size, counted from zero."""
        return (size - self.first) // self.step

    def nearest(self, size: int) -> int:
        """Return the size of the axis that is nearest from below, or its first."""
        if self.last is not None:
            size = min(size, self.last)
        return self.first + max(0, size - self.first) // self.step * self.step

    def up_to(self, cap: int) -> Axis:
        """Return the axis without the sizes above ``cap``; its first size always stays."""
        end = self.first + max(0, cap - self.first) // self.step * self.step
        return replace(self, last=end if self.last is None else min(self.last, end))


@dataclass(frozen=True, eq=False)
class Domain:
    """All the sizes that meet a set of facts.

    Roots in ``axes`` are chosen; those in ``follows`` are expressions of them; ``filters`` could not be built in and
    are checked afterwards. ``empty`` says why no size meets the facts, where that is known without a search.
    """

    axes: tuple[Axis, ...]
    follows: Mapping[str, Any] = field(default_factory=dict)
    filters: tuple[Any, ...] = ()
    empty: str = ""

    def choose(self, number: Callable[[int, int], int]) -> dict[str, int]:
        """Return a size for every axis; ``number(low, high)`` draws a number of a range, both ends included."""
        return {axis.name: axis.first + axis.step * number(0, (axis.count or 1) - 1) for axis in self.axes}

    def complete(self, chosen: Mapping[str, int]) -> dict[str, int] | None:
        """Return the sizes of all roots where the axes have these; None where a filter rejects them."""
        sizes = dict(chosen)
        for name, expr in self.follows.items():
            sizes[name] = evaluated(expr, chosen)
        return sizes if all(is_true(each, sizes) for each in self.filters) else None

    def chosen(self, sizes: Mapping[str, int]) -> dict[str, int] | None:
        """Return the part of these sizes that is chosen; None where they are not in the domain."""
        own = {axis.name: sizes[axis.name] for axis in self.axes if axis.name in sizes}
        inside = len(own) == len(self.axes) and all(axis.has(own[axis.name]) for axis in self.axes)
        whole = self.complete(own) if inside else None
        return own if whole is not None and all(whole[name] == size for name, size in sizes.items()) else None


def solve(facts: Facts) -> Domain:
    """Turn intervals, divisibility and linear equalities into axes and roots that follow; filter the rest."""
    return _Solver(facts).domain()


class _Empty(Exception):
    """No size meets the facts."""


class _Solver:
    def __init__(self, facts: Facts) -> None:
        self._axes = {
            name: Axis(name, interval.lower or 0, 1, interval.upper) for name, interval in facts.roots.items()
        }
        self._follows: dict[str, Any] = {}
        self._filters: list[Any] = []
        self._pending = list(facts.conditions)

    def domain(self) -> Domain:
        try:
            while self._pending:
                condition = self._pending.pop(0)
                if not self._built_in(self._rewritten(condition)):
                    self._filters.append(condition)
            for axis in self._axes.values():
                if axis.count == 0:
                    raise _Empty(f"{axis.name} has no size")
        except _Empty as reason:
            return Domain((), empty=str(reason))
        return Domain(tuple(self._axes.values()), self._follows, tuple(map(self._rewritten, self._filters)))

    def _rewritten(self, condition: Any) -> Any:
        """Return the condition in terms of the roots that are still chosen."""
        meaning = {root_symbol(name): expr for name, expr in self._follows.items()}
        return condition.xreplace(meaning) if isinstance(condition, sympy.Basic) else sympy.sympify(condition)

    def _built_in(self, condition: Any) -> bool:
        """Build the condition into axes and followers; return whether nothing is left to filter."""
        if condition == sympy.true:
            return True
        if condition == sympy.false:
            raise _Empty("the conditions contradict each other")
        if isinstance(condition, sympy.And):
            self._pending = [*condition.args, *self._pending]
            return True
        if not isinstance(condition, (sympy.Eq, sympy.Ge, sympy.Gt, sympy.Le, sympy.Lt)):
            return False
        symbols = sorted(condition.free_symbols, key=str)
        if len(symbols) == 1:
            return self._of_one(condition, symbols[0])
        return isinstance(condition, sympy.Eq) and self._equal(condition, symbols)

    def _of_one(self, condition: Any, symbol: Any) -> bool:
        if isinstance(condition, sympy.Eq) and condition.has(sympy.Mod):
            return self._divisible(condition, symbol)
        linear = _linear(condition.lhs - condition.rhs, [symbol])
        if linear is None:
            return False
        (factor,), rest = linear
        bound = sympy.Rational(-rest, factor)
        if isinstance(condition, sympy.Eq):
            if not bound.is_Integer:
                raise _Empty(f"{condition} has no solution in whole numbers")
            self._bound(symbol, lower=int(bound), upper=int(bound))
            return True
        strict = isinstance(condition, (sympy.Gt, sympy.Lt))
        is_lower = isinstance(condition, (sympy.Ge, sympy.Gt)) == (factor > 0)
        if is_lower:
            self._bound(symbol, lower=int(sympy.floor(bound)) + 1 if strict else int(sympy.ceiling(bound)))
        else:
            self._bound(symbol, upper=int(sympy.ceiling(bound)) - 1 if strict else int(sympy.floor(bound)))
        return True

    def _bound(self, symbol: Any, *, lower: int | None = None, upper: int | None = None) -> None:
        axis = self._axes[str(symbol)]
        if lower is not None and lower > axis.first:
            axis = replace(axis, first=axis.first + -(-(lower - axis.first) // axis.step) * axis.step)
        if upper is not None and (axis.last is None or upper < axis.last):
            axis = replace(axis, last=upper)
        if axis.count == 0:
            raise _Empty(f"{axis.name} would have to be at least {axis.first} and at most {axis.last}")
        self._axes[axis.name] = axis

    def _divisible(self, condition: Any, symbol: Any) -> bool:
        """Build in ``Eq(k*Mod(a*x + b, m), c)``, the sizes of some residues, where these are evenly spaced or none;
        return whether it did.
        """
        modulos = condition.atoms(sympy.Mod)
        modulo = next(iter(modulos))
        rest = condition.xreplace({modulo: sympy.Dummy()})
        if len(modulos) > 1 or symbol in rest.free_symbols or not modulo.args[1].is_Integer:
            return False
        linear, modulus = _linear(modulo.args[0], [symbol]), int(modulo.args[1])
        if linear is None or not 0 < modulus <= _LARGEST_MODULUS:
            return False
        (factor,), offset = linear
        if not (factor.is_Integer and offset.is_Integer):
            return False
        allowed = {each for each in range(modulus) if condition.xreplace({modulo: sympy.Integer(each)}) == sympy.true}
        residues = [each for each in range(modulus) if (int(factor) * each + int(offset)) % modulus in allowed]
        if not residues:
            raise _Empty(f"{condition} has no solution in whole numbers")
        step = modulus // len(residues)
        if residues != list(range(residues[0], modulus, step)):
            return False
        self._congruent(symbol, residues[0], step)
        return True

    def _congruent(self, symbol: Any, residue: int, modulus: int) -> None:
        axis = self._axes[str(symbol)]
        both = solve_congruence((axis.first, axis.step), (residue, modulus))
        if both is None:
            raise _Empty(f"{axis.name} cannot be {residue} modulo {modulus} as well")
        first, step = int(both[0]), int(both[1])
        first += max(0, -(-(axis.first - first) // step)) * step
        self._axes[axis.name] = replace(axis, first=first, step=step)

    def _equal(self, condition: Any, symbols: list[Any]) -> bool:
        """Build in an equality of several roots: the last root with a factor of one follows from the others."""
        expanded = sympy.expand(condition.lhs - condition.rhs)
        for symbol in reversed(symbols):
            factor = expanded.coeff(symbol)
            others = sympy.expand(expanded - factor * symbol)
            if factor in (1, -1) and symbol not in others.free_symbols and _is_whole(others):
                self._follow(symbol, sympy.expand(-others / factor))
                return True
        return False

    def _follow(self, symbol: Any, expr: Any) -> None:
        axis = self._axes.pop(str(symbol))
        self._follows = {name: each.xreplace({symbol: expr}) for name, each in self._follows.items()}
        self._follows[axis.name] = expr
        self._pending.append(sympy.Ge(expr, axis.first))
        if axis.last is not None:
            self._pending.append(sympy.Le(expr, axis.last))
        if axis.step > 1:
            self._pending.append(sympy.Eq(sympy.Mod(expr - axis.first, axis.step), 0))
        self._pending, self._filters = [*self._pending, *self._filters], []


#: Residues are tried one by one.
_LARGEST_MODULUS = 2**16


def _is_whole(expr: Any) -> bool:
    """Return whether an expression is a sum or product of whole numbers."""
    return all(number.is_Integer for number in expr.atoms(sympy.Number)) and not expr.has(sympy.Pow)


def _linear(expr: Any, symbols: Iterable[Any]) -> tuple[list[Any], Any] | None:
    """Return rational factors of the symbols and the constant term; None where the expression is not linear."""
    symbols = list(symbols)
    expanded = sympy.expand(expr)
    factors = [expanded.coeff(symbol) for symbol in symbols]
    rest = sympy.expand(expanded - sum(factor * symbol for factor, symbol in zip(factors, symbols, strict=True)))
    if rest.is_Rational and all(factor.is_Rational and factor != 0 for factor in factors):
        return factors, rest
    return None
