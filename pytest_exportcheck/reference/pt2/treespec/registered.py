"""Types of pytree nodes by the names that they are registered under, and the contexts of nodes, read with care."""

from __future__ import annotations

import json
import types
from collections import OrderedDict, defaultdict, namedtuple
from collections.abc import Callable, Mapping
from typing import Any

from pytest_exportcheck.errors import SchemaError, UnsupportedError
from pytest_exportcheck.reference._torch.values import pytree
from pytest_exportcheck.reference.pt2.treespec.classes import FACTORIES, found, is_structseq

DAMAGED = "The file is damaged or its writer is at fault: save the program again."


def registration(kind: Any) -> Any:
    """Return the registration of a type of node for writing, or None if the type is not registered with a name."""
    registered = pytree.SUPPORTED_SERIALIZED_TYPES.get(kind)
    if registered is None or registered.serialized_type_name == pytree.NO_SERIALIZED_TYPE_NAME_FOUND:
        return None
    return registered


def registered_type(name: object, where: str) -> Any:
    """Return the type of node that is registered under a name.

    Raises
    ------
    UnsupportedError
        Where no type is registered under the name.
    """
    named = pytree.SERIALIZED_TYPE_TO_PYTHON_TYPE.get(name) if isinstance(name, str) else None
    if named is None or registration(named) is None:
        raise UnsupportedError(
            f"{where}: no pytree node is registered as {name!r}. Import the module that registers it before loading."
        )
    return named


def read_context(kind: Any, dumped: Any, where: str) -> Any:
    """Return the context of a node of a registered type, from what its writer dumped.

    Raises
    ------
    SchemaError
        Where the type's reader refuses it.
    UnsupportedError
        Where it names something that does not exist here.
    """
    try:
        return _context_reader(kind)(dumped)
    except UnsupportedError:
        raise
    except Exception as error:  # a registered reader is the user's code, given what a file says
        name = registration(kind).serialized_type_name
        raise SchemaError(f"{where}: {name} cannot be read from {str(dumped)[:60]!r}: {error!r}. {DAMAGED}") from None


def _context_reader(kind: Any) -> Callable[[Any], Any]:
    registered = registration(kind).from_dumpable_context
    if registered is None:
        return _read_keys if kind in (dict, OrderedDict) else _read_json
    return _SAFE_READERS.get(registered, registered)


def _read_json(dumped: str) -> Any:
    return json.loads(dumped, object_hook=_enum_or_object)


def _read_keys(dumped: str) -> list[Any]:
    return _keys(_read_json(dumped))


def _keys(keys: Any) -> list[Any]:
    if not isinstance(keys, list):
        raise ValueError("keys must be a list")
    return keys


def _enum_or_object(value: dict[str, Any]) -> object:
    if "__enum__" not in value:
        return value
    module, _, qualified = value["fqn"].partition(":")
    return found(module, qualified, "enum").__members__[value["name"]]


def _read_defaultdict(dumped: Any) -> list[Any]:
    module, name = dumped["default_factory_module"], dumped["default_factory_name"]
    if (factory := FACTORIES.get((module, name))) is None:
        raise UnsupportedError(
            f"the file names {module}.{name} as the factory of a defaultdict. It may be one of "
            f"{', '.join(sorted(known for _, known in FACTORIES))}."
        )
    return [factory, _keys(dumped["dict_context"])]


def _read_namedtuple(dumped: Any) -> Any:
    if not pytree.is_namedtuple_class(kind := registered_type(dumped, "a namedtuple")):
        raise ValueError(f"{dumped} is not a namedtuple class")
    return kind


_KINDS: Mapping[Any, Any] = types.MappingProxyType(pytree.SUPPORTED_SERIALIZED_TYPES)
_SAFE_READERS: Mapping[Any, Callable[[Any], Any]] = types.MappingProxyType(
    {
        _KINDS[kind].from_dumpable_context: read
        for kind, read in ((defaultdict, _read_defaultdict), (namedtuple, _read_namedtuple))
    }
)
"""In place of torch's own readers, the first of which imports what a file names."""


def child_count(kind: Any, context: Any) -> int | None:
    """Return how many children a node has, where its context says so."""
    if kind in (dict, OrderedDict):
        return len(context)
    if kind is defaultdict:
        return len(context[1])
    if pytree.is_namedtuple_class(context):
        return len(context._fields)
    return int(kind.n_fields) if is_structseq(kind) else None
