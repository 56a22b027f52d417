"""Symbolic expressions as text, and back by a grammar of our own: text of a file is data, never code.

The text is what sympy's ``srepr`` writes: ``Mul(Integer(2), Symbol('s0', positive=True, integer=True))``. Keys of range
constraints are written as Python would: ``2*s0 + 1``. One grammar reads both::

    expression = operand {("+" | "-" | "*" | "/" | "//" | "%" | "**" | "<" ... | "==") operand}
    operand    = "-" operand | number | name | name "(" [argument {"," argument}] ")" | "(" expression ")"
    argument   = expression | string | name "=" ("True" | "False" | number)
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import sympy
from torch.utils._sympy.functions import FloorDiv, Mod

from pytest_exportcheck.errors import ExpressionError
from pytest_exportcheck.serde.functions import ASSUMPTIONS, CONSTANTS, FUNCTIONS

_LONGEST = 1 << 20  # characters of a text
_DEEPEST = 100  # levels of parentheses
_WIDEST = 4096  # bits of a number, and of what a power of numbers would have
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_][A-Za-z_0-9]*)|(?P<string>'[^'\\]*')"
    r"|(?P<sign>\*\*|//|<=|>=|==|!=|[-+*/%<>(),=])|(?P<end>\Z))"
)


class SymbolTable:
    """The symbols of one program: one object for each name. What was parsed once is not parsed again."""

    def __init__(self) -> None:
        self._symbols: dict[str, Any] = {}
        self._parsed: dict[str, Any] = {}

    def symbol(self, name: str, assumptions: Mapping[str, bool]) -> Any:
        """The symbol of that name.

        Raises
        ------
        ExpressionError
            When it was met with other assumptions.
        """
        made = sympy.Symbol(name, **assumptions)
        known = self._symbols.setdefault(name, made)
        if known != made:
            raise ExpressionError(
                f"symbol {name!r} is {_said(assumptions)} here and {_said(known.assumptions0)} elsewhere in the program."
            )
        return known

    def named(self, name: str) -> Any:
        """The symbol of that name with the assumptions that it has, or those that a shape environment would give it."""
        if name not in self._symbols:
            backed, real = re.fullmatch(r"s\d+", name), name.startswith("z")
            self.symbol(name, {"real": True} if real else {"integer": True, **({"positive": True} if backed else {})})
        return self._symbols[name]

    def parsed(self, text: str, parse: Callable[[str], Any]) -> Any:
        """What the text says, parsed at most once."""
        if text not in self._parsed:
            self._parsed[text] = parse(text)
        return self._parsed[text]


def _said(assumptions: Mapping[str, bool | None]) -> str:
    return (
        ", ".join(f"{key}={assumptions[key]}" for key in ASSUMPTIONS if assumptions.get(key)) or "without assumptions"
    )


def parse(text: str, table: SymbolTable) -> Any:
    """The expression. A symbol is looked up in the table, or joins it.

    Raises
    ------
    ExpressionError
        For a text that is no expression, names a function that none may name, or is too long, too deep or about numbers
        too large: with the place in the text.
    """
    return table.parsed(text, lambda given: _Parser(given, table).whole())


def write(expression: Any) -> str:
    """The text that :func:`parse`, and torch, read as this expression.

    Raises
    ------
    ExpressionError
        For a function that none may name.
    """
    expression = sympy.sympify(expression)
    for each in sympy.preorder_traversal(expression):
        name = type(each).__name__
        if each.args and name not in FUNCTIONS:
            raise ExpressionError(
                f"expression {str(expression)[:100]!r} has the function {name!r}, which no file can hold."
            )
    return str(sympy.printing.repr.srepr(expression))


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


#: Sign -> how tightly it binds, and what it makes.
_SIGNS: Mapping[str, tuple[int, Callable[[Any, Any], Any]]] = {
    "==": (1, sympy.Eq),
    "!=": (1, sympy.Ne),
    "<": (1, sympy.Lt),
    "<=": (1, sympy.Le),
    ">": (1, sympy.Gt),
    ">=": (1, sympy.Ge),
    "+": (2, lambda a, b: a + b),
    "-": (2, lambda a, b: a - b),
    "*": (3, lambda a, b: a * b),
    "/": (3, lambda a, b: a / b),
    "//": (3, FloorDiv),
    "%": (3, Mod),
    "**": (5, lambda a, b: a**b),
}
_MINUS = 4  # binds tighter than a product, not than a power


class _Parser:
    """Reads one text, token by token."""

    def __init__(self, text: str, table: SymbolTable) -> None:
        self._text = text
        self._table = table
        self._depth = 0
        self._end = 0  # of what was taken
        if len(text) > _LONGEST:
            raise ExpressionError(f"an expression of {len(text)} characters is too long; at most {_LONGEST} are read.")
        self._token = self._after(0)

    def whole(self) -> Any:
        found = self._expression(0)
        if self._token.kind != "end":
            raise self._wrong("the end")
        return found

    def _after(self, at: int) -> _Token:
        match = _TOKEN.match(self._text, at)
        if match is None or match.lastgroup is None:
            place = at + len(self._text[at:]) - len(self._text[at:].lstrip())
            raise ExpressionError(
                f"expression {self._shown}: {self._text[place]!r} at character {place + 1} is no part of one."
            )
        return _Token(match.lastgroup, match[match.lastgroup], match.end())

    def _take(self) -> _Token:
        taken, self._token = self._token, self._after(self._token.at)
        self._end = taken.at
        return taken

    def _expect(self, sign: str) -> None:
        if self._token.text != sign or self._token.kind != "sign":
            raise self._wrong(repr(sign))
        self._take()

    @property
    def _shown(self) -> str:
        return repr(self._text if len(self._text) <= 100 else f"{self._text[:100]}...")

    def _wrong(self, expected: str) -> ExpressionError:
        got = repr(self._token.text) if self._token.text else "the end"
        place = self._token.at - len(self._token.text) + 1
        return ExpressionError(f"expression {self._shown}: expected {expected}, got {got} at character {place}.")

    def _refused(self, why: str) -> ExpressionError:
        return ExpressionError(f"expression {self._shown}: {why}, before character {self._token.at + 1}.")

    # --- the grammar ------------------------------------------------------------------------

    def _expression(self, loosest: int) -> Any:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._refused(f"more than {_DEEPEST} levels deep")
        left = self._operand()
        while self._token.kind == "sign" and self._token.text in _SIGNS and _SIGNS[self._token.text][0] > loosest:
            sign = self._take().text
            binding, make = _SIGNS[sign]
            right = self._expression(binding - 1 if sign == "**" else binding)
            left = self._made(make, (left, right), sign)
        self._depth -= 1
        return left

    def _operand(self) -> Any:
        token = self._take() if self._token.kind in ("number", "name") or self._token.text in ("-", "(") else None
        if token is None:
            raise self._wrong("a number, a name or '('")
        if token.text == "-":
            return -self._expression(_MINUS)
        if token.text == "(":
            inner = self._expression(0)
            self._expect(")")
            return inner
        if token.kind == "number":
            return self._number(token.text)
        if self._token.text == "(" and self._token.kind == "sign":
            return self._call(token)
        return CONSTANTS[token.text] if token.text in CONSTANTS else self._table.named(token.text)

    def _number(self, text: str) -> Any:
        if len(text) > _WIDEST // 3 or (not text.isdigit() and len(text) > 40):
            raise self._refused("a number of too many digits")
        return sympy.Integer(text) if text.isdigit() else sympy.Float(text)

    def _call(self, name: _Token) -> Any:
        self._take()
        args, options = self._arguments()
        if name.text in _ATOMS:
            return _ATOMS[name.text](self, args, options)
        function = FUNCTIONS.get(name.text)
        if function is None:
            place = name.at - len(name.text) + 1
            known = ", ".join(sorted({*FUNCTIONS, *_ATOMS}))
            raise ExpressionError(
                f"expression {self._shown}: unknown function {name.text!r} at character {place}. Allowed: {known}."
            )
        if options or any(isinstance(each, str) for each in args):
            raise self._refused(f"{name.text} takes expressions only")
        written = self._text[name.at - len(name.text) : self._end]
        return self._made(function, tuple(args), name.text, written)

    def _arguments(self) -> tuple[list[Any], dict[str, Any]]:
        args: list[Any] = []
        options: dict[str, Any] = {}
        while self._token.text != ")" or self._token.kind != "sign":
            if args or options:
                self._expect(",")
            if self._token.kind == "string":
                args.append(_String(self._take().text[1:-1]))
            elif self._token.kind == "name" and self._after(self._token.at).text == "=":
                key = self._take().text
                self._take()
                options[key] = self._expression(0)
            else:
                args.append(self._expression(0))
        self._take()
        return args, options

    def _made(self, make: Callable[..., Any], args: tuple[Any, ...], name: str, written: str = "") -> Any:
        """The function of these arguments, as the text has it: where sympy would make something else of it, unevaluated."""
        self._refuse_large(name, args)
        try:
            made = make(*args)
            if written and not _is_as_written(made, make, args, written):
                made = make(*args, evaluate=False)
        except (TypeError, ValueError, ZeroDivisionError, AttributeError, AssertionError, RecursionError) as error:
            raise self._refused(f"{name} does not take these arguments ({str(error)[:100]})") from None
        return made

    def _refuse_large(self, name: str, args: tuple[Any, ...]) -> None:
        if name not in ("**", "Pow", "PowByNatural", "FloatPow", "LShift", "RShift", "RoundDecimal") or len(args) != 2:
            return
        base, exponent = args
        if not getattr(exponent, "is_number", False):
            return
        bits = int(base).bit_length() if getattr(base, "is_Integer", False) else 64
        if not exponent.is_finite or abs(exponent) * (bits if getattr(base, "is_number", False) else 1) > _WIDEST:
            raise self._refused(f"{name} of numbers too large")

    # --- atoms ------------------------------------------------------------------------------

    def _symbol(self, args: list[Any], options: dict[str, Any]) -> Any:
        if len(args) != 1 or not isinstance(args[0], _String) or not re.fullmatch(r"[A-Za-z_]\w*", args[0]):
            raise self._refused("Symbol takes a name in quotes")
        for key, value in options.items():
            if key not in ASSUMPTIONS or value not in (sympy.true, sympy.false):
                raise self._refused(f"Symbol takes assumptions of {', '.join(ASSUMPTIONS)}, True or False, not {key}")
        return self._table.symbol(str(args[0]), {key: bool(value) for key, value in options.items()})

    def _integer(self, args: list[Any], options: dict[str, Any]) -> Any:
        if len(args) == 1 and not options and getattr(args[0], "is_Integer", False):
            return args[0]
        raise self._refused("Integer takes a whole number")

    def _rational(self, args: list[Any], options: dict[str, Any]) -> Any:
        if len(args) == 2 and not options and all(getattr(each, "is_Integer", False) for each in args) and args[1] != 0:
            return sympy.Rational(*args)
        raise self._refused("Rational takes two whole numbers")

    def _float(self, args: list[Any], options: dict[str, Any]) -> Any:
        text, precision = (args[0] if args else ""), options.pop("precision", sympy.Integer(53))
        plain = isinstance(text, _String) and re.fullmatch(
            r"[-+]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][-+]?\d{1,4})?", text
        )
        if len(args) != 1 or options or not plain or not precision.is_Integer or not 1 <= precision <= 1024:
            raise self._refused("Float takes a number in quotes and a precision")
        return sympy.Float(str(text), precision=int(precision))


class _String(str):
    """A text in quotes, which only atoms take."""


_ATOMS: Mapping[str, Callable[[_Parser, list[Any], dict[str, Any]], Any]] = {
    "Symbol": _Parser._symbol,
    "Integer": _Parser._integer,
    "Rational": _Parser._rational,
    "Float": _Parser._float,
}


def _is_as_written(made: Any, make: Any, args: tuple[Any, ...], written: str) -> bool:
    """By its arguments, or by its text: sympy writes ``-2*s0`` as a product of three."""
    if type(made) is make and Counter(made.args) == Counter(args):
        return True
    return str(sympy.printing.repr.srepr(made)) == written
