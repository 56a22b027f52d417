"""The symbols of one program: a name is one object, with one set of assumptions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import sympy

from pytest_exportcheck.errors import ExpressionError

#: Assumptions that a text may make about a symbol. ShapeEnv makes the first three.
ASSUMPTIONS = (
    "integer",
    "positive",
    "real",
    "nonnegative",
    "negative",
    "nonpositive",
    "nonzero",
    "finite",
    "even",
    "odd",
)

NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]{0,255}")

#: The names that ShapeEnv gives, and its assumptions on each kind: sizes, unbacked sizes, floats, unbacked floats.
_KINDS: tuple[tuple[re.Pattern[str], Mapping[str, bool]], ...] = (
    (re.compile(r"s[0-9]+"), {"positive": True, "integer": True}),
    (re.compile(r"u[0-9]+"), {"integer": True}),
    (re.compile(r"zf[0-9]+"), {"real": True}),
    (re.compile(r"zuf[0-9]+"), {}),
)


class SymbolTable:
    """The symbols of one program, and its expressions by their texts: each text is parsed, or written, once.

    A table belongs to one read or one write. Tables share nothing, so threads that use a table each are independent.
    """

    def __init__(self) -> None:
        self._symbols: dict[str, Any] = {}
        self._parsed: dict[str, Any] = {}
        self._written: dict[Any, str] = {}

    def symbol(self, name: str, assumptions: Mapping[str, bool]) -> Any:
        """Return the symbol of that name, and create it when the name is new.

        Raises
        ------
        ExpressionError
            When the name had other assumptions before, or the assumptions contradict each other.
        """
        try:
            return self.adopt(sympy.Symbol(name, **assumptions))
        except sympy.core.facts.InconsistentAssumptions:
            said = ", ".join(f"{key}={value}" for key, value in assumptions.items())
            raise ExpressionError(f"symbol {name!r}: the assumptions {said} contradict each other.") from None

    def adopt(self, symbol: Any) -> Any:
        """Return the known symbol of this name; a symbol with a new name becomes the known one.

        Raises
        ------
        ExpressionError
            When the name had other assumptions before.
        """
        known = self._symbols.setdefault(symbol.name, symbol)
        if known != symbol:
            raise ExpressionError(
                f"symbol {symbol.name!r} is {sympy.srepr(symbol)} here and {sympy.srepr(known)} elsewhere in the "
                "program."
            )
        return known

    def named(self, name: str) -> Any:
        """Return the symbol of that name; for a new name, the symbol that a ShapeEnv would have given that name.

        Raises
        ------
        ExpressionError
            When the name is new, and no ShapeEnv gives such a name.
        """
        if name not in self._symbols:
            assumptions = next((said for kind, said in _KINDS if kind.fullmatch(name)), None)
            if assumptions is None:
                raise ExpressionError(
                    f"unknown symbol {name!r}: it is not a symbol of the program, and ShapeEnv does not use such names (s0, "
                    "u0, zf0, zuf0)."
                )
            return self.symbol(name, assumptions)
        return self._symbols[name]

    def parsed(self, text: str, parse: Callable[[str], Any]) -> Any:
        """Return the expression of the text, parsed at most once."""
        found = self._parsed.get(text)
        if found is None:
            found = self._parsed[text] = parse(text)
        return found

    def written(self, expression: Any, write: Callable[[Any], str]) -> str:
        """Return the text of the expression, written at most once."""
        found = self._written.get(expression)
        if found is None:
            found = self._written[expression] = write(expression)
        return found
