"""Containers that a caller passes: the entries they hold before and after a call, by place and by value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from pytest_exportcheck.harness._torch import pytree
from pytest_exportcheck.harness.tensors import detached_clone, leaf_of
from pytest_exportcheck.records import Leaf, Update

#: Containers whose pytree context consists of their keys: a change of the keys shows in the entries.
_KEYED = frozenset({"dict", "OrderedDict", "defaultdict", "list", "tuple", "deque"})


@dataclass(frozen=True, eq=False)
class Entry:
    """A leaf in a container: the object, the type of the container, and the argument that it is part of."""

    value: Any
    owner: str
    argument: str


@dataclass(frozen=True, eq=False)
class Contents:
    """All entries of the arguments by place, and the pytree context of each registered class, as text."""

    entries: Mapping[str, Entry]
    contexts: Mapping[str, tuple[str, str]]


def contents_of(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Contents:
    """Flatten the arguments of a call. No container is put together again, so no class sees leaves that it did not
    hold.
    """
    entries: dict[str, Entry] = {}
    contexts: dict[str, tuple[str, str]] = {}
    for place, argument in (*_children("args", args), *_children("kwargs", dict(kwargs))):
        for inner, owner, value, context in _walk(place, "", argument):
            if context is None:
                entries[inner] = Entry(value, owner, place)
            else:
                contexts[inner] = (owner, context)
    return Contents(entries, contexts)


def _walk(place: str, owner: str, tree: Any) -> Iterator[tuple[str, str, Any, str | None]]:
    """Yield leaves, and registered classes with their context as text."""
    spec = (
        None if isinstance(tree, torch.Tensor) else pytree.tree_structure(tree, is_leaf=lambda each: each is not tree)
    )
    if spec is None or spec.is_leaf():
        yield place, owner, tree, None
        return
    kind = type(tree).__name__
    if kind not in _KEYED:
        yield place, kind, tree, _text(spec.context)
    elif owner and owner not in _KEYED:
        kind = owner  # a registered class may hold its tensors in lists
    for inner, child in _children(place, tree):
        yield from _walk(inner, kind, child)


def _children(place: str, tree: Any) -> list[tuple[str, Any]]:
    """Return the children of one container, each with its place; by number where a class does not name them."""
    try:
        paths, _ = pytree.tree_flatten_with_path(tree, is_leaf=lambda each: each is not tree)
        return [(place + pytree.keystr(path), child) for path, child in paths]
    except ValueError:  # registered without keys
        children = pytree.tree_leaves(tree, is_leaf=lambda each: each is not tree)
        return [(f"{place}[{number}]", child) for number, child in enumerate(children)]


def _text(context: Any) -> str:
    try:
        return " ".join(repr(context).split())
    except Exception:  # a user's own __repr__ raised: the context cannot be compared
        return ""


def updates_since(
    before: Contents, values: Mapping[int, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Update]:
    """Return the entries that were added, removed or replaced by another object since ``before``.

    ``values`` maps ``id(tensor)`` to a copy of its value before the call. A tensor that was mutated in place is the
    same entry, and is not an update.
    """
    after = contents_of(args, kwargs)
    found = dict(_entry_updates(before, values, after))
    for place, (owner, context) in after.contexts.items():
        told = any(inner.startswith(place) for inner in found)
        was = before.contexts.get(place, (owner, context))
        if told or was == (owner, context) or contents_of(args, kwargs).contexts.get(place) != (owner, context):
            continue  # a context whose text differs whenever it is made cannot be compared
        found[place] = Update(Leaf(place, was[1]), Leaf(place, context), owner, place, structure=True)
    return found


def _entry_updates(before: Contents, values: Mapping[int, Any], after: Contents) -> Iterator[tuple[str, Update]]:
    for place in dict.fromkeys((*before.entries, *after.entries)):
        old, new = before.entries.get(place), after.entries.get(place)
        if old is not None and new is not None and _is_same(old.value, new.value):
            continue
        entry = new or old
        if entry is not None and entry.owner:
            was = None if old is None else leaf_of(place, values.get(id(old.value), old.value), clone=False)
            now = None if new is None else _leaf(place, new.value)
            yield place, Update(was, now, entry.owner, entry.argument)


def _leaf(place: str, value: Any) -> Leaf:
    if not isinstance(value, torch.Tensor):
        return Leaf(place, value)
    return leaf_of(place, detached_clone(value), clone=False)


def _is_same(old: Any, new: Any) -> bool:
    """Return whether two values are the same: tensors by identity, because mutations are found elsewhere; plain values
    by value.
    """
    if old is new:
        return True
    if isinstance(old, torch.Tensor) or isinstance(new, torch.Tensor) or type(old) is not type(new):
        return False
    try:
        return bool(old == new) or bool(old != old and new != new)  # nan is nan
    except Exception:  # objects that compare to something that has no truth value
        return False
