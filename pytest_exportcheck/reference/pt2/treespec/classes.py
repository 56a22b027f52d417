"""Classes that a file may name: found among the modules that are imported already, and only of harmless kinds.

Names are looked up in the dictionaries of modules and classes, never by ``getattr``: a module may import others when it
is asked for an attribute.
"""

from __future__ import annotations

import collections
import dataclasses
import sys
import types
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import torch

from pytest_exportcheck.errors import UnsupportedError
from pytest_exportcheck.reference._torch.values import pytree

FACTORIES: Mapping[tuple[str, str], type] = types.MappingProxyType(
    {
        (factory.__module__, factory.__qualname__): factory
        for factory in (
            *(bool, bytes, complex, dict, float, frozenset, int, list, set, str, tuple),
            *(collections.Counter, collections.OrderedDict, collections.deque),
        )
    }
)
"""What a defaultdict of a file may call for a key that it lacks."""


def is_structseq(kind: object) -> bool:
    """Return whether a class is a member of ``torch.return_types``."""
    return isinstance(kind, type) and vars(torch.return_types).get(kind.__name__) is kind


def _is_node_dataclass(kind: object) -> bool:
    return isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind in pytree.SUPPORTED_NODES


def _is_enum(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Enum)


_KINDS: Mapping[str, Callable[[Any], bool]] = types.MappingProxyType(
    {
        "namedtuple": pytree.is_namedtuple_class,
        "torch.return_types": is_structseq,
        "dataclass": _is_node_dataclass,
        "enum": _is_enum,
    }
)
_WANTED: Mapping[str, str] = types.MappingProxyType(
    {
        "namedtuple": "a namedtuple class",
        "torch.return_types": "a member of torch.return_types",
        "dataclass": "a dataclass that is registered as a pytree node",
        "enum": "an enumeration",
    }
)


def found(module: str, qualified: str, kind: str) -> Any:
    """Return the class of this name, if it is of this kind (a key of the table above).

    Raises
    ------
    UnsupportedError
        Where its module is not imported, lacks the name, or has something else of that name.
    """
    name = f"{module}.{qualified}"
    if module not in sys.modules:
        raise UnsupportedError(
            f"the file names {name}, but {module} is not imported. Import it before loading: a file cannot import modules."
        )
    value: Any = sys.modules[module]
    for step in qualified.split("."):
        try:
            value = vars(value)[step]
        except (KeyError, TypeError):
            raise UnsupportedError(
                f"the file names {name}, but {module} does not have it. Define it there before loading."
            ) from None
    if not (isinstance(value, type) and _KINDS[kind](value)):
        raise UnsupportedError(
            f"the file names {name} as {_WANTED[kind]}, but it is not. Define it as one before loading."
        )
    return value


def name_of(value: type, kind: str) -> tuple[str, str]:
    """Return module and qualified name, by which :func:`found` finds this very class again.

    Raises
    ------
    UnsupportedError
        Where it does not: the class is local to a function, or its name means something else.
    """
    module, qualified = value.__module__, value.__qualname__
    try:
        same = found(module, qualified, kind) is value
    except UnsupportedError:
        same = False
    if not same:
        raise UnsupportedError(
            f"the class {module}.{qualified} cannot be found by its name, so a file cannot name it. Define it at the top level "
            "of a module, under its own name."
        )
    return module, qualified
