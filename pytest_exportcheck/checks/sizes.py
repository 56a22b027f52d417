"""Compares sizes that depend on symbols."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import sympy

from pytest_exportcheck.records import Interval, Size

_SETTINGS = 27  # at most: settings of the symbols at which two expressions are compared


def same_size(one: int | Size, other: int | Size, ranges: Mapping[str, Interval]) -> bool:
    """Whether two sizes are equal, by their text or else at settings of their symbols from all over their ranges."""
    if one == other:
        return True
    symbols = {**_symbols(one), **_symbols(other)}
    if not symbols:
        return False
    choices = [_samples(ranges.get(name)) for name in symbols]
    settings = list(product(*choices))[:_SETTINGS]
    return all(
        _at(one, dict(zip(symbols.values(), values, strict=True)))
        == _at(other, dict(zip(symbols.values(), values, strict=True)))
        for values in settings
    )


def value_at(size: int | Size, values: Mapping[str, int]) -> int | None:
    """The number that a size is where its symbols have these values; None where one of them has none."""
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
    try:
        return int(result)
    except (TypeError, ValueError):  # infinite, or not a number
        return None


def _samples(interval: Interval | None) -> list[int]:
    """Both ends of a range and the numbers next to them; 3 and 100 above where it has no end."""
    lower = 2 if interval is None or interval.lower is None else interval.lower
    upper = lower + 98 if interval is None or interval.upper is None else interval.upper
    return sorted({lower, min(lower + 1, upper), upper})
