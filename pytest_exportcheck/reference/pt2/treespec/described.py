"""A pytree spec without loss, as JSON: ``null`` for a leaf, else ``{"node": [kind, what it keeps], "children":
[...]}``.

This form holds what torch's text cannot: namedtuple classes, ``torch.return_types`` and dataclasses that no name is
registered for, keys that are tuples, defaultdicts with no factory.
"""

from __future__ import annotations

import types
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from typing import Any

from pytest_exportcheck.errors import SchemaError, UnsupportedError
from pytest_exportcheck.reference._torch.values import pytree
from pytest_exportcheck.reference.pt2.treespec.classes import FACTORIES, found, is_structseq, name_of
from pytest_exportcheck.reference.pt2.treespec.constants import constant_of, describe_constant
from pytest_exportcheck.reference.pt2.treespec.registered import (
    child_count,
    read_context,
    registered_type,
    registration,
)
from pytest_exportcheck.reference.pt2.treespec.text import LEAF

PLAIN: Mapping[Any, str] = types.MappingProxyType(
    {tuple: "tuple", list: "list", dict: "dict", OrderedDict: "OrderedDict", deque: "deque"}
)


def describe_spec(spec: pytree.TreeSpec) -> Any:
    """Return the spec as JSON.

    Raises
    ------
    UnsupportedError
        Where a class cannot be named, or keeps a value that has no form in JSON.
    """
    if spec.is_leaf():
        return None
    kind, kept = _described(spec.type, spec.context)
    return {"node": [kind, kept], "children": [describe_spec(child) for child in spec.children()]}


def _described(kind: Any, context: Any) -> tuple[str, Any]:
    if kind in PLAIN:
        return PLAIN[kind], describe_constant(context)
    if kind is defaultdict:
        return "defaultdict", [_factory_name(context[0]), describe_constant(context[1])]
    if kind is namedtuple:
        name = name_of(context, "namedtuple")
        return "namedtuple", [*name, list(context._fields)]
    if is_structseq(kind) and context is None:
        return "torch.return_types", kind.__name__
    if (registered := registration(kind)) is not None:
        write = registered.to_dumpable_context
        kept = describe_constant(write(context) if write else context)
        return "registered", [registered.serialized_type_name, kept]
    if is_dataclass(kind) and isinstance(kind, type):
        return "dataclass", [*name_of(kind, "dataclass"), describe_constant(context)]
    raise UnsupportedError(
        f"the pytree node {kind.__module__}.{kind.__qualname__} is not registered under a name. Register it with "
        "torch.utils._pytree.register_pytree_node, with serialized_type_name=..."
    )


def _factory_name(factory: Any) -> list[str] | None:
    if factory is None:
        return None
    name = getattr(factory, "__module__", ""), getattr(factory, "__qualname__", "")
    if FACTORIES.get(name) is not factory:
        raise UnsupportedError(
            f"the factory {factory!r} of a defaultdict cannot be written. It may be one of "
            f"{', '.join(sorted(known for _, known in FACTORIES))}, or None."
        )
    return list(name)


def spec_of(described: Any) -> pytree.TreeSpec:
    """Return the spec that :func:`describe_spec` described, without importing what it names.

    Raises
    ------
    SchemaError
        Where the argument is not such a description.
    UnsupportedError
        Where it names a class that is not imported, not registered, or has changed.
    """
    try:
        return _spec(described)
    except RecursionError:
        raise SchemaError("a described pytree spec is nested too deeply to read.") from None


def _spec(described: Any) -> pytree.TreeSpec:
    if described is None:
        return LEAF
    try:
        kind, kept = described["node"]
        children = described["children"]
        type_, context = _READ[kind](kept)
        given = len(children)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise SchemaError(f"expected a described pytree spec, got {str(described)[:60]!r}.") from None
    count = child_count(type_, context)
    if count not in (None, given):
        raise SchemaError(f"expected {count} children of the pytree node {kind}, got {given}.")
    return pytree.TreeSpec(type_, context, [_spec(child) for child in children])


def _plain(kind: Any) -> Callable[[Any], tuple[Any, Any]]:
    return lambda kept: (kind, constant_of(kept))


def _with_keys(kind: Any) -> Callable[[Any], tuple[Any, Any]]:
    return lambda kept: (kind, _keys(kept))


def _keys(kept: Any) -> list[Any]:
    keys = constant_of(kept)
    if not isinstance(keys, list):
        raise ValueError
    dict.fromkeys(keys)  # TypeError where a key is not hashable
    return keys


def _defaultdict(kept: Any) -> tuple[Any, Any]:
    name, keys = kept
    if name is None:
        return defaultdict, [None, _keys(keys)]
    return defaultdict, [FACTORIES[tuple(name)], _keys(keys)]


def _namedtuple(kept: Any) -> tuple[Any, Any]:
    module, qualified, field_names = kept
    kind = found(module, qualified, "namedtuple")
    if list(kind._fields) != field_names:
        raise UnsupportedError(
            f"the namedtuple {module}.{qualified} has the fields {', '.join(kind._fields)}, but the file has "
            f"{', '.join(map(str, field_names))}. Load it with the class that it was saved with."
        )
    return namedtuple, kind


def _structseq(kept: Any) -> tuple[Any, Any]:
    return found("torch.return_types", kept, "torch.return_types"), None


def _registered(kept: Any) -> tuple[Any, Any]:
    name, dumped = kept
    kind = registered_type(name, "a described pytree spec")
    context = constant_of(dumped)
    if registration(kind).from_dumpable_context:
        context = read_context(kind, context, "a described pytree spec")
    return kind, context


def _dataclass(kept: Any) -> tuple[Any, Any]:
    module, qualified, context = kept
    return found(module, qualified, "dataclass"), constant_of(context)


_READ: Mapping[str, Callable[[Any], tuple[Any, Any]]] = types.MappingProxyType(
    {
        **{name: _plain(kind) for kind, name in PLAIN.items()},
        "dict": _with_keys(dict),
        "OrderedDict": _with_keys(OrderedDict),
        "defaultdict": _defaultdict,
        "namedtuple": _namedtuple,
        "torch.return_types": _structseq,
        "registered": _registered,
        "dataclass": _dataclass,
    }
)
