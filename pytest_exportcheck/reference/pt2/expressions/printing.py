"""Expressions as text: the text that torch writes, checked to be readable."""

from __future__ import annotations

from typing import Any

import sympy

from pytest_exportcheck.errors import ExpressionError
from pytest_exportcheck.reference._torch.sizes import int_oo
from pytest_exportcheck.reference.pt2.expressions.functions import WRITABLE
from pytest_exportcheck.reference.pt2.expressions.limits import DEPTH, DIGITS, LENGTH
from pytest_exportcheck.reference.pt2.expressions.symbols import NAME, SymbolTable

_SHOWN = 100  # characters of an expression in a message
_WHOLE = 10**DIGITS
_CONSTANTS = frozenset(
    {sympy.oo, -sympy.oo, sympy.zoo, sympy.nan, int_oo, -int_oo, sympy.true, sympy.false, sympy.pi, sympy.E, sympy.I}
)


def write(expression: Any, symbols: SymbolTable | None = None) -> str:
    """Return the text that :func:`parse`, and torch, read as this expression; equal expressions have the same text.

    With a table, the same expression is written once, and its symbols are checked against those of the others.

    Raises
    ------
    ExpressionError
        For a function that the table of functions has no entry for, for a symbol with the name of another, and for an
        expression that is too large to be read.
    """
    if not isinstance(expression, sympy.Basic):
        expression = _number(expression)
    table = SymbolTable() if symbols is None else symbols
    return table.written(expression, lambda given: _text(given, table))


def _number(value: object) -> Any:
    """Convert a number or truth value of Python, and nothing else: sympify of a text would run the text."""
    if isinstance(value, (bool, int, float)):
        return sympy.sympify(value)
    raise ExpressionError(f"{type(value).__name__} is not an expression. Expected a sympy expression or a number.")


def _text(expression: Any, table: SymbolTable) -> str:
    try:
        _check(expression, table)
        text = str(sympy.srepr(expression, order=None))
    except RecursionError:
        raise ExpressionError(f"expression {_shown(expression)!r} is nested too deeply to be written.") from None
    if len(text) > LENGTH:
        raise ExpressionError(f"an expression of {len(text)} characters is too long; at most {LENGTH} are read.")
    return text


def _check(expression: Any, table: SymbolTable) -> None:
    rest, count = [(expression, 1)], 0
    while rest:
        (part, depth), count = rest.pop(), count + 1
        if depth > DEPTH:
            raise ExpressionError(f"an expression of more than {DEPTH} levels is too deep: it could not be read.")
        if count > LENGTH:
            raise ExpressionError(f"an expression of more than {LENGTH} parts is too long: it could not be read.")
        if type(part) is sympy.Symbol and NAME.fullmatch(part.name):
            table.adopt(part)
        elif not (type(part) in WRITABLE if part.args else _is_constant(part)):
            raise ExpressionError(
                f"expression {_shown(expression)!r} has {_shown(part)!r}, a {type(part).__name__}, which a file cannot hold."
            )
        rest.extend((each, depth + 1) for each in part.args)


def _is_constant(atom: Any) -> bool:
    if isinstance(atom, sympy.Rational):
        return bool(max(abs(atom.p), atom.q) < _WHOLE)
    return isinstance(atom, sympy.Float) or atom in _CONSTANTS


def _shown(expression: Any) -> str:
    try:
        text = str(expression)
    except RecursionError:
        return type(expression).__name__
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
