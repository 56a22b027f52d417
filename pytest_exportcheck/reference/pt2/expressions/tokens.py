"""The tokens of an expression, and the errors that name a place in the text."""

from __future__ import annotations

import re
from typing import NamedTuple

from pytest_exportcheck.errors import ExpressionError

_AROUND = 60  # characters of a long text shown on either side of the place
_TOKEN = re.compile(
    r"(?P<number>[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z_0-9]*)"
    r"|(?P<string>'[^'\"\\\n]*'|\"[^'\"\\\n]*\")"
    r"|(?P<sign>\*\*|//|<=|>=|==|!=|[-+*/%<>(),=&|~])"
    r"|(?P<end>\Z)"
)
_SPACE = re.compile(r" *")


class Token(NamedTuple):
    """One token: ``kind`` is a group of the pattern, ``start`` and ``end`` are offsets in the text."""

    kind: str
    text: str
    start: int
    end: int

    def is_sign(self, sign: str) -> bool:
        """Return whether the token is this sign."""
        return self.text == sign and self.kind == "sign"


def next_token(text: str, offset: int) -> Token:
    """Return the token that begins at the offset or after the spaces there. At the end of the text its kind is ``end``.

    Raises
    ------
    ExpressionError
        Where no token begins there.
    """
    start = _SPACE.match(text, offset).end()  # type: ignore[union-attr] # it matches nothing, too
    match = _TOKEN.match(text, start)
    if match is None or match.lastgroup is None:
        raise refusal(text, start, f"{text[start]!r} is not part of an expression")
    return Token(match.lastgroup, match[0], start, match.end())


def refusal(text: str, offset: int, problem: str, remedy: str = "") -> ExpressionError:
    """Return the error that describes the problem at the offset. Characters are counted from 1."""
    return ExpressionError(f"expression {_shown(text, offset)!r}: {problem} at character {offset + 1}.{remedy}")


def _shown(text: str, offset: int) -> str:
    first, last = max(0, offset - _AROUND), offset + _AROUND
    return ("..." if first else "") + text[first:last] + ("..." if last < len(text) else "")
