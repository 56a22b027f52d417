"""What a pytree spec keeps beside its children (keys, names), as JSON without loss.

``None``, booleans, texts, finite floats and integers of 64 bits are themselves; anything else is an object of one key
that says what it is: ``{"tuple": [...]}``, ``{"list": [...]}``, ``{"dict": [[key, value], ...]}``, ``{"int": "2**64 in
digits"}``, ``{"float": "inf"}``, ``{"dtype": "float32"}``, ``{"enum": [module, class, member]}``.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import torch

from pytest_exportcheck.errors import SchemaError, UnsupportedError
from pytest_exportcheck.serde.treespec.classes import found, name_of

_SMALL = 2**63
_DIGITS = 4000


def describe_constant(value: object) -> Any:
    """The value as JSON.

    Raises
    ------
    UnsupportedError
        Where it is of a type that has no form here.
    """
    if value is None or type(value) in (bool, str):
        return value
    if isinstance(value, Enum):
        return {"enum": [*name_of(type(value), "enum"), value.name]}
    if describe := _DESCRIBE.get(type(value)):
        return describe(value)
    raise UnsupportedError(
        f"a pytree keeps a {type(value).__module__}.{type(value).__qualname__}, which a file cannot hold. Register the "
        "pytree node with to_dumpable_context and from_dumpable_context."
    )


_DESCRIBE: Mapping[type, Callable[[Any], Any]] = types.MappingProxyType(
    {
        int: lambda value: value if -_SMALL <= value < _SMALL else {"int": str(value)},
        float: lambda value: value if math.isfinite(value) else {"float": repr(value)},
        tuple: lambda value: {"tuple": [describe_constant(each) for each in value]},
        list: lambda value: {"list": [describe_constant(each) for each in value]},
        dict: lambda value: {
            "dict": [[describe_constant(key), describe_constant(each)] for key, each in value.items()]
        },
        torch.dtype: lambda value: {"dtype": str(value).removeprefix("torch.")},
    }
)


def constant_of(described: Any) -> Any:
    """The value that :func:`describe_constant` described.

    Raises
    ------
    SchemaError
        Where it is no such description.
    UnsupportedError
        Where it names an enumeration that is not there.
    """
    if described is None or type(described) in (bool, str, int, float):
        return described
    try:
        ((tag, content),) = described.items()
        return _READ[tag](content)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise SchemaError(f"expected a constant of a pytree, got {str(described)[:60]!r}.") from None


def _enum(content: Any) -> Enum:
    module, qualified, name = content
    member: Enum = found(module, qualified, "enum").__members__[name]
    return member


def _int(content: Any) -> int:
    if not isinstance(content, str) or len(content) > _DIGITS:
        raise ValueError
    return int(content)


def _dtype(content: Any) -> torch.dtype:
    value = vars(torch)[content]
    if not isinstance(value, torch.dtype):
        raise ValueError
    return value


_NOT_FINITE: Mapping[str, float] = types.MappingProxyType({"inf": math.inf, "-inf": -math.inf, "nan": math.nan})
_READ: Mapping[str, Callable[[Any], Any]] = types.MappingProxyType(
    {
        "int": _int,
        "float": lambda content: _NOT_FINITE[content],
        "tuple": lambda content: tuple(constant_of(each) for each in content),
        "list": lambda content: [constant_of(each) for each in content],
        "dict": lambda content: {constant_of(key): constant_of(each) for key, each in content},
        "dtype": _dtype,
        "enum": _enum,
    }
)
