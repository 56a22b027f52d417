"""Comparison of sizes that depend on symbols."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product
from random import Random
from typing import Any

import sympy
from sympy.logic.boolalg import BooleanAtom

from pytest_exportcheck.records import Interval, Size

_SETTINGS = 32  # at most twice as many settings of the symbols, at which two expressions are compared


def same_size(one: int | Size, other: int | Size, ranges: Mapping[str, Interval]) -> bool:
    """Return whether two sizes are equal, by their text or else at settings of their symbols from all over their
    ranges.
    """
    if one == other:
        return True
    symbols = dict(sorted({**_symbols(one), **_symbols(other)}.items()))
    if not symbols:
        return False
    settings = _settings([ranges.get(name) for name in symbols])
    return all(
        _at(one, dict(zip(symbols.values(), values, strict=True)))
        == _at(other, dict(zip(symbols.values(), values, strict=True)))
        for values in settings
    )


def value_at(size: int | Size, values: Mapping[str, int]) -> int | None:
    """Return the number of a size where its symbols have these values; None where one of them has none."""
    if not isinstance(size, Size):
        return size
    symbols = _symbols(size)
    if any(name not in values for name in symbols):
        return None
    return _at(size, {symbol: values[name] for name, symbol in symbols.items()})


def _symbols(size: int | Size) -> dict[str, Any]:
    return {str(symbol): symbol for symbol in size.expr.free_symbols} if isinstance(size, Size) else {}


def _at(size: int | Size, values: Mapping[Any, int]) -> int | None:
    if not isinstance(size, Size):
        return size
    result = size.expr.xreplace({symbol: sympy.Integer(value) for symbol, value in values.items()})
    if isinstance(result, BooleanAtom):
        return int(bool(result))
    try:
        return int(result)
    except (TypeError, ValueError):  # infinite, or not a number
        return None


def _settings(intervals: Sequence[Interval | None]) -> Iterator[tuple[int, ...]]:
    """Yield ends and neighbours of the ranges in all combinations, if these are few, then numbers from all over the
    ranges.
    """
    bounds = [bounds_of(interval) for interval in intervals]
    yield from islice(product(*(sorted({low, min(low + 1, high), high}) for low, high in bounds)), _SETTINGS)
    draw = Random(0)  # the same in every run
    for _ in range(_SETTINGS):
        yield tuple(draw.randint(low, min(high, low + 100)) for low, high in bounds)


def number_at(size: int | Size, values: Mapping[str, int | float]) -> int | float | None:
    """Evaluate a symbolic number or truth value at these values of its symbols; None if the result is not a number."""
    if not isinstance(size, Size):
        return size
    if size.expr.is_Symbol:
        return values.get(size.text)
    symbols = _symbols(size)
    if any(name not in values for name in symbols):
        return None
    result = size.expr.xreplace({symbol: sympy.sympify(values[name]) for name, symbol in symbols.items()})
    if isinstance(result, BooleanAtom):
        return bool(result)
    try:
        return int(result) if result.is_integer else float(result)
    except (TypeError, ValueError):  # infinite, or not a number
        return None


def bounds_of(interval: Interval | None) -> tuple[int, int]:
    """Return the ends of a range; 2 and 100 above where it has none."""
    lower = 2 if interval is None or interval.lower is None else interval.lower
    return lower, lower + 98 if interval is None or interval.upper is None else interval.upper
