"""Comparison of the metadata of two paired nodes, key by key."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypeAlias

from pytest_exportcheck.records import NodeRecord
from pytest_exportcheck.records.levels import MetadataLevel

Fate: TypeAlias = Literal["kept", "changed", "dropped", "gained"]


def key_of(node: NodeRecord, key: str) -> str:
    """Return the name of a key on this node in the tables: ``custom``, ``placeholder.custom``."""
    return key if node.op == "call_function" else f"{node.op}.{key}"


def fates(one: NodeRecord, other: NodeRecord, levels: Mapping[str, MetadataLevel]) -> Iterator[tuple[str, Fate]]:
    """Yield the fate of every key of a node's metadata."""
    for key in dict.fromkeys((*one.meta, *other.meta)):
        had, has = _has(one, key), _has(other, key)
        if had != has:
            yield key, "dropped" if had else "gained"
        elif not had:
            yield key, "kept"
        else:
            same = _COMPARED.get(levels.get(key_of(one, key), "equal"), equal)
            yield key, "kept" if same(one.meta[key], other.meta[key]) else "changed"


def _has(node: NodeRecord, key: str) -> bool:
    """Return whether a node has a key. An empty module stack, which nodes of subgraphs have, says the same as none."""
    return key in node.meta and not (key == "nn_module_stack" and node.meta[key] == ())


def equal(one: Any, other: Any) -> bool:
    """Return whether type and text are equal, so that nan equals nan, and 1 is neither 1.0 nor True."""
    return type(one) is type(other) and repr(one) == repr(other)


def _kept(one: Any, other: Any) -> bool:
    """Return whether the custom annotations were kept; others may have been added."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return all(name in other and equal(value, other[name]) for name, value in one.items())
    return equal(one, other)


def _same_paths(one: Any, other: Any) -> bool:
    if not isinstance(one, tuple) or not isinstance(other, tuple):
        return equal(one, other)
    return [entry[1:] for entry in one] == [entry[1:] for entry in other]


_COMPARED: Mapping[MetadataLevel, Callable[[Any, Any], bool]] = {"kept": _kept, "paths": _same_paths, "equal": equal}
