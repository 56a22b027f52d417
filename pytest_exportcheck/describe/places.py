"""Places of a program's inputs in its arguments.

A pytree spec is never unflattened here: a class of the user's may look at its leaves, and accept only the original
ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pytest_exportcheck.harness._torch import pytree

KeyPath = tuple[Any, ...]


def input_paths(program: torch.export.ExportedProgram) -> list[KeyPath]:
    """Return the pytree paths of the user's inputs in ``(args, kwargs)``, in the order of the signature."""
    spec = program.call_spec.in_spec
    if spec is None:
        return []
    paths = _paths_of_example(program.example_inputs, spec) if program.example_inputs is not None else []
    return paths if len(paths) == spec.num_leaves else _paths_of_spec(spec)


def input_places(program: torch.export.ExportedProgram) -> list[str]:
    """Return the places of the user's inputs, in the order of the signature: ``args[0]``, ``kwargs['mask']``."""
    return [place_of(path) for path in input_paths(program)]


def keyword_order(program: torch.export.ExportedProgram) -> tuple[str, ...]:
    """Return the names of the keyword arguments, in the program's own order."""
    spec = program.call_spec.in_spec
    return () if spec is None else _keywords(spec)


def place_of(path: Any) -> str:
    """Return the place of a leaf of ``(args, kwargs)`` as ``input_leaves`` names it: the first key distinguishes the
    two.
    """
    return ("args" if path[0].idx == 0 else "kwargs") + pytree.keystr(path[1:])


@dataclass(frozen=True, eq=False)
class Branch:
    """A container among the inputs: its values, by index, key or attribute name."""

    entries: Mapping[Any, Any]

    def __getitem__(self, key: Any) -> Any:
        return self.entries[key]

    def values(self) -> tuple[Any, ...]:
        """Return the values of the container, in order."""
        return tuple(self.entries.values())


def branch_of(leaves: Sequence[tuple[KeyPath, Any]]) -> Branch:
    """Return the tree of some leaves with their paths, built of branches only."""
    groups: dict[Any, list[tuple[KeyPath, Any]]] = {}
    for path, leaf in leaves:
        groups.setdefault(_key(path[0]), []).append((path[1:], leaf))
    return Branch({key: group[0][1] if not group[0][0] else branch_of(group) for key, group in groups.items()})


def _key(entry: Any) -> Any:
    """Return the index, key or attribute name that an entry of a pytree path holds."""
    for field in ("idx", "key", "name"):
        if hasattr(entry, field):
            return getattr(entry, field)
    return entry


def _keywords(spec: Any) -> tuple[str, ...]:
    return tuple(spec.child(1).context) if spec.num_children == 2 else ()


def _paths_of_example(example: Any, spec: Any) -> list[KeyPath]:
    args, kwargs = example
    ordered = {name: kwargs[name] for name in _keywords(spec) if name in kwargs}
    try:
        return [path for path, _ in pytree.tree_flatten_with_path((args, ordered))[0]]
    except ValueError:  # a class that was registered without names for its children
        return []


def _paths_of_spec(spec: Any) -> list[KeyPath]:
    if spec.is_leaf():
        return [()]
    children = [spec.child(number) for number in range(spec.num_children)]
    return [(key, *path) for key, child in zip(_keys(spec), children, strict=True) for path in _paths_of_spec(child)]


def _keys(spec: Any) -> list[Any]:
    """Return names for the children of a spec: mapping keys, fields of a namedtuple, else numbers."""
    names = getattr(spec.type, "_fields", None) or getattr(spec.context, "_fields", None)
    if names is not None and len(names) == spec.num_children:
        return [pytree.GetAttrKey(name) for name in names]
    if isinstance(spec.type, type) and issubclass(spec.type, dict):
        keys = spec.context[1] if issubclass(spec.type, defaultdict) else spec.context
        return [pytree.MappingKey(key) for key in keys]
    return [pytree.SequenceKey(number) for number in range(spec.num_children)]
