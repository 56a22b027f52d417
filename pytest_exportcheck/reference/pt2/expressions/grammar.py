"""The grammar of expressions, by recursive descent::

    expression = operand {sign operand}                                       as tightly as the signs of infix.py bind
    operand    = ("-" | "~") expression | number | constant | symbol | "(" expression ")"
               | function "(" expression {"," expression} ")"                  functions.py
               | atom "(" literal {"," literal} {"," name "=" literal} ")"    atoms.py

Nothing but the tables' rows is ever called, and no attribute is looked up by a name from the text.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import sympy

from pytest_exportcheck.errors import ExpressionError
from pytest_exportcheck.reference.pt2.expressions.atoms import ATOMS, Literal, Literals, decimal, integer
from pytest_exportcheck.reference.pt2.expressions.functions import CONSTANTS, EITHER, FUNCTIONS, KINDS, Function
from pytest_exportcheck.reference.pt2.expressions.infix import PREFIXES, SIGNS, TURNED, run
from pytest_exportcheck.reference.pt2.expressions.limits import BITS, DEPTH, INFIX_LENGTH, LENGTH
from pytest_exportcheck.reference.pt2.expressions.symbols import SymbolTable
from pytest_exportcheck.reference.pt2.expressions.tokens import Token, next_token, refusal

_WORDS = {"True": True, "False": False}
#: Errors that sympy and torch raise for arguments that they cannot use.
_REFUSALS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    NotImplementedError,
    TypeError,
    ValueError,
    ExpressionError,
)


def parse(text: str, symbols: SymbolTable) -> Any:
    """Return the expression that the text states, over the table's symbols; new symbols of the text join the table.

    The expression is built as the text has it, so that ``parse(srepr(e))`` is ``e`` also where sympy would simplify
    ``e``.

    Raises
    ------
    ExpressionError
        For a text that is not an expression, names a function or a constant that the tables lack, contradicts the
        table's assumptions on a symbol, or exceeds the limits of :mod:`.limits`: with the place in the text.
    """
    return symbols.parsed(text, lambda given: _whole(given, symbols))


def _whole(text: str, symbols: SymbolTable) -> Any:
    if len(text) > LENGTH:
        raise refusal(text, LENGTH, f"too long, {len(text)} characters of which at most {LENGTH} are read,")
    parser = _Parser(text, symbols)
    try:
        return parser.whole()
    except RecursionError:
        raise refusal(text, parser.place, "nested too deeply") from None


class _Part(NamedTuple):
    """A part of the expression, where it begins, and how many bits its value may have."""

    value: Any
    start: int
    bits: int


class _Parser:
    """A parser of one text, token by token."""

    def __init__(self, text: str, symbols: SymbolTable) -> None:
        self._text = text
        self._symbols = symbols
        self._depth = 0
        self._token = next_token(text, 0)

    @property
    def place(self) -> int:
        return self._token.start

    def whole(self) -> Any:
        part = self._expression(0)
        if self._token.kind != "end":
            raise self._expected("the end")
        self._check_kind(part, EITHER, "an expression")
        return part.value

    def _take(self) -> Token:
        taken, self._token = self._token, next_token(self._text, self._token.end)
        return taken

    def _expect(self, sign: str) -> None:
        if not self._token.is_sign(sign):
            raise self._expected(repr(sign))
        self._take()

    def _expected(self, what: str) -> ExpressionError:
        got = repr(self._token.text) if self._token.text else "the end"
        return refusal(self._text, self._token.start, f"expected {what}, got {got}")

    # --- expressions ------------------------------------------------------------------------

    def _expression(self, loosest: int) -> _Part:
        self._depth += 1
        if self._depth > DEPTH:
            raise refusal(self._text, self.place, f"more than {DEPTH} levels of nesting")
        part = self._operand()
        while self._token.kind == "sign" and self._token.text in SIGNS and SIGNS[self._token.text].level > loosest:
            part = self._run(part, SIGNS[self._token.text].level)
        self._depth -= 1
        return part

    def _run(self, first: _Part, level: int) -> _Part:
        """Return the operands between signs of one level, of which the first was read."""
        place = self.place
        if len(self._text) > INFIX_LENGTH:
            raise refusal(self._text, place, f"infix operators in an expression of more than {INFIX_LENGTH} characters")
        parts, signs = [first], []
        while self._token.kind == "sign" and self._token.text in SIGNS and SIGNS[self._token.text].level == level:
            signs.append(self._take().text)
            part = self._expression(level)
            if signs[-1] in TURNED:
                self._check_kind(part, "a number", f"{signs[-1]!r}")
                part = part._replace(value=TURNED[signs[-1]](part.value))
            parts.append(part)
        try:
            function = run(signs)
        except ValueError as error:
            raise refusal(self._text, place, str(error)) from None
        return self._made(function, repr(signs[0]), parts, first.start)

    def _operand(self) -> _Part:
        token = self._token
        if token.kind == "name":
            self._take()
            return self._call(token) if self._token.is_sign("(") else self._name(token)
        if token.kind == "number":
            self._take()
            return self._number(token)
        if token.is_sign("("):
            self._take()
            inner = self._expression(0)
            self._expect(")")
            return inner
        if token.kind == "sign" and token.text in PREFIXES:
            self._take()
            level, function = PREFIXES[token.text]
            return self._made(function, repr(token.text), [self._expression(level)], token.start)
        raise self._expected("a number, a name or '('")

    def _name(self, token: Token) -> _Part:
        if token.text in CONSTANTS:
            return _Part(CONSTANTS[token.text], token.start, 64)
        return self._sized(self._symbols.named, token, token.text)

    def _number(self, token: Token) -> _Part:
        if token.text.isdigit():
            return self._sized(lambda digits: sympy.Integer(integer(digits)), token, token.text)
        return self._sized(decimal, token, token.text)

    def _sized(self, make: Any, token: Token, *args: Any) -> _Part:
        """Return a symbol or a number."""
        try:
            value = make(*args)
        except _REFUSALS as error:
            raise self._refused(token.start, error) from None
        return _Part(value, token.start, max(64, value.p.bit_length()) if value.is_Rational else 64)

    # --- calls ------------------------------------------------------------------------------

    def _call(self, name: Token) -> _Part:
        self._take()
        if name.text in ATOMS:
            return self._sized(ATOMS[name.text], name, self._literals(), self._symbols)
        function = FUNCTIONS.get(name.text)
        if function is None:
            allowed = f" Allowed: {', '.join(sorted({*FUNCTIONS, *ATOMS}))}."
            raise refusal(self._text, name.start, f"unknown function {name.text!r}", allowed)
        parts = [self._expression(0)]
        while self._token.is_sign(","):
            self._take()
            parts.append(self._expression(0))
        if not self._token.is_sign(")"):
            raise self._expected("',' or ')'")
        self._take()
        return self._made(function, name.text, parts, name.start)

    def _made(self, function: Function, name: str, parts: list[_Part], start: int) -> _Part:
        if len(parts) not in function.arity:
            raise refusal(self._text, start, f"{name} takes {_counted(function.arity)}, got {len(parts)}")
        for place, part in enumerate(parts):
            self._check_kind(part, function.kind(place), name)
        args = [part.value for part in parts]
        bits = function.growth(args, [part.bits for part in parts])
        if bits > BITS:
            raise refusal(self._text, start, f"the value of {name} may have more than {BITS} bits")
        try:
            return _Part(function.build(*args), start, bits)
        except _REFUSALS as error:
            raise self._refused(start, error, f"{name}: ") from None

    def _check_kind(self, part: _Part, kind: str, name: str) -> None:
        if not isinstance(part.value, KINDS[kind]):
            raise refusal(self._text, part.start, f"{name} takes {kind}, got {type(part.value).__name__}")

    def _refused(self, start: int, error: Exception, name: str = "") -> ExpressionError:
        problem = str(error).rstrip(".") or type(error).__name__
        return refusal(self._text, start, f"{name}{problem[:300]}")

    # --- literals ---------------------------------------------------------------------------

    def _literals(self) -> Literals:
        args: list[Literal] = []
        options: dict[str, Literal] = {}
        while True:
            if self._token.kind == "name" and self._token.text not in _WORDS:
                key = self._take()
                self._expect("=")
                if key.text in options:
                    raise refusal(self._text, key.start, f"{key.text} is given twice")
                options[key.text] = self._literal()
            elif options:
                raise self._expected("a name and '='")
            else:
                args.append(self._literal())
            if self._token.is_sign(")"):
                self._take()
                return Literals(tuple(args), options)
            self._expect(",")

    def _literal(self) -> Literal:
        token = self._token
        if token.kind == "string":
            return self._take().text[1:-1]
        if token.kind == "name" and token.text in _WORDS:
            return _WORDS[self._take().text]
        minus = token.is_sign("-")
        if minus:
            self._take()
        if self._token.kind != "number" or not self._token.text.isdigit():
            raise self._expected("a quoted string, a whole number, True or False")
        digits = self._take()
        try:
            return -integer(digits.text) if minus else integer(digits.text)
        except ValueError as error:
            raise self._refused(digits.start, error) from None


def _counted(arity: range) -> str:
    if len(arity) == 1:
        return f"{arity[0]} argument{'s' if arity[0] > 1 else ''}"
    return f"at least {arity[0]} argument{'s' if arity[0] > 1 else ''}" + (", in pairs" if arity.step == 2 else "")
