"""Atoms: symbols and numbers, whose arguments are literals and not expressions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import sympy

from pytest_exportcheck.reference.pt2.expressions.limits import DIGITS, EXPONENT_DIGITS, PRECISION
from pytest_exportcheck.reference.pt2.expressions.symbols import ASSUMPTIONS, NAME, SymbolTable

_FLOAT = re.compile(rf"[-+]?([0-9]{{1,{DIGITS}}})(\.[0-9]{{0,{DIGITS}}})?([eE][-+]?[0-9]{{1,{EXPONENT_DIGITS}}})?")

#: A literal: a quoted string, a whole number, True or False.
Literal = str | int | bool


class Literals(NamedTuple):
    """The arguments of an atom, as they are written in the text."""

    args: tuple[Literal, ...]
    options: Mapping[str, Literal]


def integer(digits: str) -> int:
    """Return a whole number.

    Raises
    ------
    ValueError
        For more digits than sizes have.
    """
    if len(digits) > DIGITS:
        raise ValueError(f"a number of {len(digits)} digits is too long; at most {DIGITS} are read")
    return int(digits)


def _symbol(literals: Literals, table: SymbolTable) -> Any:
    match literals:
        case Literals((str() as name,), options) if NAME.fullmatch(name):
            for key, value in options.items():
                if key not in ASSUMPTIONS or not isinstance(value, bool):
                    raise ValueError(f"an assumption is one of {', '.join(ASSUMPTIONS)} and True or False")
            return table.symbol(name, {key: bool(value) for key, value in options.items()})
    raise ValueError("Symbol takes a name in quotes and assumptions")


def _integer(literals: Literals, _table: SymbolTable) -> Any:
    match literals:
        case Literals((int() as value,), options) if not options and not isinstance(value, bool):
            return sympy.Integer(value)
    raise ValueError("Integer takes a whole number")


def _rational(literals: Literals, _table: SymbolTable) -> Any:
    match literals:
        case Literals((int() as above, int() as below), options) if not options and below != 0:
            return sympy.Rational(above, below)
    raise ValueError("Rational takes two whole numbers, the second not zero")


def _float(literals: Literals, _table: SymbolTable) -> Any:
    match literals:
        case Literals((str() as digits,), {"precision": int() as precision, **others}) if not others:
            if _FLOAT.fullmatch(digits) and 1 <= precision <= PRECISION:
                return sympy.Float(digits, precision=precision)
    raise ValueError(
        f"Float takes a decimal number in quotes, of an exponent of at most {EXPONENT_DIGITS} digits, and "
        f"precision=1 to {PRECISION}"
    )


def decimal(digits: str) -> Any:
    """Return a float that the text has as a decimal number.

    Raises
    ------
    ValueError
        For a number of more digits, or a larger exponent, than a float has.
    """
    return _float(Literals((digits,), {"precision": 53}), SymbolTable())


ATOMS: Mapping[str, Callable[[Literals, SymbolTable], Any]] = MappingProxyType(
    {"Symbol": _symbol, "Integer": _integer, "Rational": _rational, "Float": _float}
)
