"""Kinds of values that a name gives: operators, functions, and objects of classes that a file may name."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import torch

from pytest_exportcheck.errors import SchemaError
from pytest_exportcheck.reference._torch.values import HigherOrderOperator, OpOverload
from pytest_exportcheck.reference.pt2.plain.kind import Kind, Read, Reader
from pytest_exportcheck.reference.pt2.plain.names import global_name, global_of, target_name, target_of


def _is_namedtuple(value: Any) -> bool:
    return isinstance(value, tuple) and type(value) is not tuple and hasattr(type(value), "_fields")


def _is_structseq(value: Any) -> bool:
    return isinstance(value, tuple) and type(value).__module__ == "torch.return_types"


def _named_tuple(given: Any, reader: Reader, value_of: Read) -> Any:
    kind = global_of(given[0])
    if not (isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields")):
        raise SchemaError(f"{given[0]!r} is not a namedtuple class.")
    return tuple.__new__(kind, [value_of(each, reader) for each in given[1]])


def _is_torch_record(value: Any) -> bool:
    return is_dataclass(value) and not isinstance(value, type) and type(value).__module__.startswith("torch.")


def _torch_record(given: Any, reader: Reader, value_of: Read) -> Any:
    """Return a data class of torch's, filled without its constructor."""
    kind = global_of(given[0])
    if not (isinstance(kind, type) and is_dataclass(kind) and given[0].startswith("torch.")):
        raise SchemaError(f"{given[0]!r} is not a dataclass of torch.")
    made: Any = object.__new__(kind)
    for each, value in zip(fields(kind), given[1], strict=True):
        object.__setattr__(made, each.name, value_of(value, reader))
    return made


def _structseq(given: Any, reader: Reader, value_of: Read) -> Any:
    kind = vars(torch.return_types).get(given[0])
    if not isinstance(kind, type):
        raise SchemaError(f"torch.return_types has no {given[0]!r}.")
    return kind([value_of(each, reader) for each in given[1]])


def _enum(given: Any) -> Any:
    kind = global_of(given[0])
    if not (isinstance(kind, type) and issubclass(kind, Enum)):
        raise SchemaError(f"{given[0]!r} is not an enumeration.")
    return kind.__members__[given[1]]


#: The order matters: the first kind that fits is used.
NAMED_KINDS: tuple[Kind, ...] = (
    Kind(
        "return_type",
        lambda value, plain: [type(value).__name__, [plain(each) for each in value]],
        _structseq,
        fits=_is_structseq,
    ),
    Kind(
        "namedtuple",
        lambda value, plain: [global_name(type(value)), [plain(each) for each in value]],
        _named_tuple,
        fits=_is_namedtuple,
    ),
    Kind(
        "record",
        lambda value, plain: [
            global_name(type(value)),
            [plain(getattr(value, each.name)) for each in fields(value)],
        ],
        _torch_record,
        fits=_is_torch_record,
    ),
    Kind(
        "target",
        lambda value, _: target_name(value),
        lambda given, *_: target_of(given),
        types=(OpOverload,),
        fits=lambda value: isinstance(value, (OpOverload, HigherOrderOperator)),
    ),
    Kind(
        "enum",
        lambda value, _: [global_name(type(value)), value.name],
        lambda given, *_: _enum(given),
        fits=lambda value: isinstance(value, Enum),
    ),
    Kind(
        "global",
        lambda value, _: global_name(value),
        lambda given, reader, _: reader.named(given),
        fits=lambda value: callable(value) and hasattr(value, "__name__"),
    ),
)
