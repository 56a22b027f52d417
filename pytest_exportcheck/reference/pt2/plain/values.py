"""Python values as plain ones, and back: values that JSON can hold, with a tag where that is not enough.

None, booleans, small integers, finite floats, strings and lists represent themselves. Everything else is a mapping with
one key, its tag: ``{"tuple": [...]}``, ``{"sym_int": ["Symbol('s0', ...)", 4]}``, ``{"node": "x"}``. Two values are the
same where their plain values are.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import sympy
import torch
import torch.fx

from pytest_exportcheck.errors import SchemaError, SerializationError, UnsupportedError
from pytest_exportcheck.reference.pt2 import expressions
from pytest_exportcheck.reference.pt2.plain.kind import Plain, Reader
from pytest_exportcheck.reference.pt2.plain.named_kinds import NAMED_KINDS
from pytest_exportcheck.reference.pt2.plain.python_kinds import PYTHON_KINDS
from pytest_exportcheck.reference.pt2.plain.symbolic_kinds import SYMBOLIC_KINDS
from pytest_exportcheck.reference.pt2.plain.torch_kinds import TORCH_KINDS

_SAFE_INT = 2**53

_KINDS = (*PYTHON_KINDS, *SYMBOLIC_KINDS, *TORCH_KINDS, *NAMED_KINDS)
_BY_TAG = {kind.tag: kind for kind in _KINDS}
_BY_TYPE = {each: kind for kind in _KINDS for each in kind.types}


def plain(value: Any) -> Plain:
    """Return the plain value.

    Raises
    ------
    UnsupportedError
        For a value of a kind that no file can hold.
    """
    return PlainWriter()(value)


class PlainWriter:
    """A writer of the values of one program, which writes each expression once."""

    def __init__(self) -> None:
        self._texts: dict[Any, str] = {}

    def expression(self, expression: Any) -> str:
        """Return the text of an expression. Floats that are equal may have different texts: they are not shared."""
        if type(expression) is not sympy.Symbol and (
            not isinstance(expression, sympy.Basic) or expression.has(sympy.Float)
        ):
            return expressions.write(expression)
        found = self._texts.get(expression)
        if found is None:
            found = self._texts[expression] = expressions.write(expression)
        return found

    def __call__(self, value: Any) -> Plain:
        """Return the plain value, as :func:`plain` does."""
        if value is None or type(value) in (bool, str):
            return value
        if type(value) is int:
            return value if abs(value) < _SAFE_INT else {"int": str(value)}
        if type(value) is float:
            return value if math.isfinite(value) else {"float": str(value)}
        if type(value) in (list, torch.fx.immutable_collections.immutable_list):
            return [self(each) for each in value]
        if (
            type(value) is torch.SymInt and value.node.expr.is_Integer
        ):  # a symbol that was found to be always this number
            return self(int(value.node.expr))
        kind = _BY_TYPE.get(type(value)) or next((each for each in _KINDS if each.fits(value)), None)
        if kind is None:
            raise UnsupportedError(
                f"a value of type {type(value).__module__}.{type(value).__qualname__} cannot be saved"
            )
        return {kind.tag: kind.write(value, self)}


def value_of(given: Plain, reader: Reader) -> Any:
    """Return the value.

    Raises
    ------
    SchemaError
        For a tag that does not exist, or content that does not fit the tag.
    UnsupportedError
        For an operator or a class that does not exist here.
    """
    if isinstance(given, list):
        return [value_of(each, reader) for each in given]
    if not isinstance(given, dict):
        return given
    tag, content = next(iter(given.items())) if len(given) == 1 else ("", None)
    kind = _BY_TAG.get(tag)
    if kind is None:
        raise SchemaError(f"expected a value with one tag of {', '.join(_BY_TAG)}, got {str(given)[:100]!r}.")
    try:
        return kind.read(content, reader, value_of)
    except SerializationError:
        raise
    except (TypeError, ValueError, LookupError, AttributeError, RuntimeError, ArithmeticError, AssertionError) as error:
        raise SchemaError(
            f"a value tagged {tag!r} holds {str(content)[:100]!r}, which does not fit: {error}."
        ) from error


def number_of(given: Plain) -> Plain:
    """Return a plain number without its tag, and any other value unchanged."""
    if isinstance(given, dict) and len(given) == 1:
        tag, content = next(iter(given.items()))
        if tag in ("int", "float"):
            return int(content) if tag == "int" else float(content)
    return given


def same(one: Plain, other: Plain) -> bool:
    """Return whether two plain values are the same: 1, 1.0 and true differ."""
    if type(one) is str and type(other) is str:  # most values of a program, and their bytes need no look
        return one == other
    return one is other or (one == other and _bytes(one) == _bytes(other))


def _bytes(value: Plain) -> bytes:
    return msgspec.json.encode(value, order="sorted")
