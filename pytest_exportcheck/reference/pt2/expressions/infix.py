"""The infix form, ``2*s0 + 1``: how tightly each sign binds, and which function a run of signs of one level makes.

Unlike ``srepr``, this form does not state how an expression was built, so sympy simplifies sums, products and powers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import sympy

from pytest_exportcheck.reference.pt2.expressions.builders import remainder
from pytest_exportcheck.reference.pt2.expressions.functions import CONDITION, FUNCTIONS, NUMBER, Function

COMPARISON, DISJUNCTION, CONJUNCTION, SUM, PRODUCT, MINUS, POWER = range(1, 8)


class Row(NamedTuple):
    """The level of a sign, which decides the operand at its right, and the function that the sign makes."""

    level: int
    function: Function
    single: bool = True  # whether a run of them needs parentheses


def _evaluated(function: Any, name: str) -> Function:
    return Function(function, FUNCTIONS[name].arity, growth=FUNCTIONS[name].growth)


_SUM = _evaluated(sympy.Add, "Add")
_PRODUCT = _evaluated(sympy.Mul, "Mul")

SIGNS: Mapping[str, Row] = MappingProxyType(
    {
        "==": Row(COMPARISON, FUNCTIONS["Eq"]),
        "!=": Row(COMPARISON, FUNCTIONS["Ne"]),
        "<": Row(COMPARISON, FUNCTIONS["Lt"]),
        "<=": Row(COMPARISON, FUNCTIONS["Le"]),
        ">": Row(COMPARISON, FUNCTIONS["Gt"]),
        ">=": Row(COMPARISON, FUNCTIONS["Ge"]),
        "|": Row(DISJUNCTION, FUNCTIONS["Or"], single=False),
        "&": Row(CONJUNCTION, FUNCTIONS["And"], single=False),
        "+": Row(SUM, _SUM, single=False),
        "-": Row(SUM, _SUM, single=False),
        "*": Row(PRODUCT, _PRODUCT, single=False),
        "/": Row(PRODUCT, _PRODUCT, single=False),
        "//": Row(PRODUCT, FUNCTIONS["FloorDiv"]),
        "%": Row(PRODUCT, Function(remainder, FUNCTIONS["Mod"].arity)),
        "**": Row(POWER, _evaluated(sympy.Pow, "Pow")),
    }
)
#: Functions that are applied to the operand at the right of a sign before the whole is made.
TURNED: Mapping[str, Callable[[Any], Any]] = MappingProxyType({"-": lambda each: -each, "/": lambda each: 1 / each})
#: Signs in front of an operand: how tightly they bind, and what they make.
PREFIXES: Mapping[str, tuple[int, Function]] = MappingProxyType(
    {
        "-": (MINUS, Function(lambda each: -each, range(1, 2), (NUMBER,))),
        "~": (MINUS, Function(FUNCTIONS["Not"].build, range(1, 2), (CONDITION,))),
    }
)


def run(signs: Sequence[str]) -> Function:
    """Return the function of the operands between signs of one level.

    Raises
    ------
    ValueError
        When the meaning needs parentheses.
    """
    row = SIGNS[signs[0]]
    if len(signs) > 1 and any(SIGNS[sign].single for sign in signs):
        raise ValueError("add parentheses to make the grouping explicit")
    return row.function
