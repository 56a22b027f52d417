"""Facts about sizes: roots with their intervals, dims as expressions of roots, and conditions, in sympy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import sympy

from pytest_exportcheck.records import DeclaredDim, Interval
from pytest_exportcheck.records.programs import NUMBER, linear_root

#: One dim of one input: the input's place, such as ``args[0]``, and the number of the dim.
Dim: TypeAlias = tuple[str, int]

ANY = Interval(0, None)


@dataclass(frozen=True, eq=False)
class Facts:
    """One set of facts about sizes.

    ``roots`` are the sizes that one may choose, by name, with the interval of each; ``dims`` gives the size of a dim as
    an expression of roots (a symbol has the name of its root); ``conditions`` are relations between roots that must
    hold; ``promised`` names the roots that the author of a case promises, the others are what a capture made of a hint.
    """

    roots: Mapping[str, Interval]
    dims: Mapping[Dim, Any] = field(default_factory=dict)
    conditions: tuple[Any, ...] = ()
    promised: frozenset[str] = frozenset()

    def __str__(self) -> str:
        """Return ranges, then conditions."""
        ranges = [f"{name} {interval}" for name, interval in self.roots.items()]
        return "; ".join([", ".join(ranges) or "nothing dynamic", *map(str, self.conditions)])

    def at(self, sizes: Mapping[str, int]) -> dict[Dim, int]:
        """Return the size of every dim where the roots have these sizes."""
        return {dim: evaluated(expr, sizes) for dim, expr in self.dims.items()}

    def holds(self, sizes: Mapping[str, int]) -> bool:
        """Return whether these sizes of all roots are within the intervals and meet the conditions."""
        inside = all(self.roots[name].holds(Interval(size, size)) for name, size in sizes.items() if name in self.roots)
        return inside and all(is_true(condition, sizes) for condition in self.conditions)


def root_symbol(name: str) -> Any:
    """Return the symbol of a root: one name, one symbol."""
    return sympy.Symbol(name, integer=True)


def evaluated(expr: Any, sizes: Mapping[str, int]) -> int:
    """Evaluate an expression at these sizes of its roots."""
    if not isinstance(expr, sympy.Basic):
        return int(expr)
    return int(expr.xreplace({root_symbol(name): sympy.Integer(size) for name, size in sizes.items()}))


def root_giving(expr: Any, size: int) -> tuple[str, int] | None:
    """Return the only root of an expression with the size that gives the expression this size, or None.

    Expressions of several roots, or of none, do not determine a root.
    """
    names = [str(symbol) for symbol in expr.free_symbols]
    if len(names) != 1:
        return None
    root = linear_root(lambda each: evaluated(expr, {names[0]: each}), size)
    return None if root is None else (names[0], root)


def is_linear(expr: Any) -> bool:
    """Return True if an expression has one root, and a factor and an offset at most."""
    symbols = expr.free_symbols
    return len(symbols) == 1 and expr.is_polynomial(*symbols) and bool(sympy.degree(expr, *symbols) == 1)


def is_true(condition: Any, sizes: Mapping[str, int]) -> bool:
    """Return whether a condition holds. A condition that cannot be decided (a division by zero, say) does not hold."""
    if not isinstance(condition, sympy.Basic):
        return bool(condition)
    try:
        decided = condition.xreplace({root_symbol(name): sympy.Integer(size) for name, size in sizes.items()})
    except (ZeroDivisionError, TypeError, ValueError):
        return False
    return bool(decided == sympy.true)


def name_of(place: str, dim: int) -> str:
    """Return the name of a root that no ``Dim`` names: ``args[0].size(1)``."""
    return f"{place}.size({dim})"


def declared_facts(declared: Iterable[DeclaredDim]) -> Facts:
    """Return the facts that ``dynamic_shapes`` declares: the roots of its ``Dim``s by their names; a hint such as
    ``Dim.DYNAMIC`` is a separate root.
    """
    roots: dict[str, Interval] = {}
    dims: dict[Dim, Any] = {}
    promised: set[str] = set()
    assumed: dict[Any, None] = {}
    for each in declared:
        assumed |= dict.fromkeys(each.conditions)
        if each.expression is not None:
            dims[each.place, each.dim] = each.expression
            if each.root:
                promised.add(each.root)
                roots[each.root] = _bounds(each)
            continue
        if not each.root:
            if each.text.startswith("Dim.") and each.text != "Dim.STATIC":
                name = name_of(each.place, each.dim)
                roots[name] = _within(each.interval)
                dims[each.place, each.dim] = root_symbol(name)
            continue
        promised.add(each.root)
        roots[each.root] = _within(each.root_interval)
        symbol = root_symbol(each.root)
        dims[each.place, each.dim] = sympy.sympify(each.derive(symbol)) if each.derive else symbol
    conditions = tuple(
        sympy.Ge(expr, 0) for (_, number), expr in dims.items() if number != NUMBER and not expr.is_Symbol
    )
    return Facts(roots, dims, (*conditions, *assumed), frozenset(promised))


def _bounds(dim: DeclaredDim) -> Interval:
    """Return the range of a variable; sizes are not negative, numbers may be."""
    bounds = dim.root_interval or Interval(None, None)
    return bounds if dim.dim == NUMBER else _within(bounds)


def without_hints(facts: Facts, sizes: Mapping[str, int]) -> Facts:
    """Return the facts with these sizes for all roots that are not promised."""
    fixed = {name: Interval(sizes[name], sizes[name]) for name in facts.roots if name not in facts.promised}
    return Facts({**facts.roots, **fixed}, facts.dims, facts.conditions, facts.promised)


def joined(declared: Facts, captured: Facts) -> Facts:
    """Return both sets of facts over one set of roots: those declared, and for hints what capture made of them.

    Conditions of the captured program are included only where they concern a root that is not promised: what capture
    made of a promise must be checked, not believed.
    """
    dims = dict(declared.dims)
    roots = dict(declared.roots)
    meaning = translation(declared, captured)
    for dim, expr in captured.dims.items():
        if dim not in dims and not declared.dims and expr.free_symbols:
            dims[dim] = expr.xreplace(meaning)
    for name in {str(symbol) for expr in dims.values() for symbol in expr.free_symbols} - declared.promised:
        symbol = root_symbol(name)
        own = captured.roots.get(name, ANY) if meaning.get(symbol, symbol) == symbol else ANY
        roots[name] = _meet(roots.get(name, ANY), own)
    hinted = {root_symbol(name) for name in roots if name not in declared.promised}
    conditions = [each.xreplace(meaning) for each in _all_conditions(captured)]
    relations = [
        sympy.Eq(expr, captured.dims[dim].xreplace(meaning)) for dim, expr in dims.items() if dim in captured.dims
    ]
    taken = tuple(
        condition
        for condition in (*conditions, *relations)
        if condition.free_symbols & hinted and all(str(symbol) in roots for symbol in condition.free_symbols)
    )
    return Facts(roots, dims, (*declared.conditions, *taken), declared.promised)


def translation(declared: Facts, captured: Facts) -> dict[Any, Any]:
    """Map symbols of the captured facts to expressions of the declared roots, where a dim determines them: a promised
    dim before one of a hint.
    """
    meaning: dict[Any, Any] = {}
    hinted = {root_symbol(name) for name in declared.roots if name not in declared.promised}
    known = [(expr, declared.dims[dim]) for dim, expr in captured.dims.items() if dim in declared.dims]
    for expr, own in sorted(known, key=lambda pair: bool(pair[1].free_symbols & hinted)):
        symbols = sorted(expr.free_symbols, key=str)
        if len(symbols) != 1 or symbols[0] in meaning:
            continue
        solved = [own] if expr == symbols[0] else sympy.solve(expr - own, symbols[0])
        if len(solved) == 1:
            meaning[symbols[0]] = solved[0]
    return meaning


def _all_conditions(facts: Facts) -> Iterable[Any]:
    """Yield the conditions, and the intervals as conditions."""
    yield from facts.conditions
    for name, interval in facts.roots.items():
        if interval.lower is not None:
            yield sympy.Ge(root_symbol(name), interval.lower)
        if interval.upper is not None:
            yield sympy.Le(root_symbol(name), interval.upper)


def _within(interval: Interval | None) -> Interval:
    """Return the part of the interval that sizes can have: none is negative."""
    return ANY if interval is None else _meet(ANY, interval)


def _meet(one: Interval, other: Interval) -> Interval:
    lowers = [bound for bound in (one.lower, other.lower) if bound is not None]
    uppers = [bound for bound in (one.upper, other.upper) if bound is not None]
    return Interval(max(lowers, default=None), min(uppers, default=None))
