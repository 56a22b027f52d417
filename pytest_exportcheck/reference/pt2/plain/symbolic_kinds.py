"""Kinds of symbolic values: sizes, their bounds, expressions, and the paths of the inputs that sizes come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import sympy
import torch

from pytest_exportcheck.reference._torch.sizes import (
    CallMethodKey,
    ConvertIntKey,
    DivideByKey,
    InnerTensorKey,
    ValueRanges,
)
from pytest_exportcheck.reference._torch.values import pytree
from pytest_exportcheck.reference.pt2 import expressions
from pytest_exportcheck.reference.pt2.plain.kind import Kind, Plain, Write

_PATH_KEYS: Mapping[str, type] = {
    each.__name__: each
    for each in (
        pytree.SequenceKey,
        pytree.MappingKey,
        pytree.GetAttrKey,
        CallMethodKey,
        ConvertIntKey,
        DivideByKey,
        InnerTensorKey,
    )
}


def _symbolic(tag: str, kind: type) -> Kind:
    """Return the handler of a number that is written by its expression and its value in the example. The value of a
    truth value follows from its symbols.
    """

    def write(value: Any, plain: Write) -> Plain:
        return [plain.expression(value.node.expr), None if kind is torch.SymBool else plain(value.node.hint)]

    return Kind(tag, write, lambda given, reader, _: reader.symbolic(tag, *given), types=(kind,))


SYMBOLIC_KINDS: tuple[Kind, ...] = (
    _symbolic("sym_int", torch.SymInt),
    _symbolic("sym_float", torch.SymFloat),
    _symbolic("sym_bool", torch.SymBool),
    Kind(
        "path_key",
        lambda key, plain: [type(key).__name__, *(plain(getattr(key, each.name)) for each in fields(key))],
        lambda given, reader, value_of: _PATH_KEYS[given[0]](*(value_of(each, reader) for each in given[1:])),
        types=tuple(_PATH_KEYS.values()),
    ),
    Kind(
        "bounds",
        lambda value, _: [expressions.write(value.lower), expressions.write(value.upper)],
        lambda given, reader, _: ValueRanges(reader.expression(given[0]), reader.expression(given[1])),
        types=(ValueRanges,),
    ),
    Kind(
        "expression",
        lambda value, _: expressions.write(value),
        lambda given, reader, _: reader.expression(given),
        fits=lambda value: isinstance(value, sympy.Basic),
    ),
)
