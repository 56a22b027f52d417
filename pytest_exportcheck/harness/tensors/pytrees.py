"""Pytrees of tensors: places, leaves, and the arguments of a call with other leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from pytest_exportcheck.errors import InputsRefused
from pytest_exportcheck.harness._torch import pytree
from pytest_exportcheck.harness.tensors.copies import detached_clone
from pytest_exportcheck.harness.tensors.facts import facts_of
from pytest_exportcheck.records import Leaf


def leaf_of(place: str, value: Any, *, clone: bool = True) -> Leaf:
    """Return a leaf of a pytree as it is now: a tensor with its facts, and in a new storage unless ``clone`` is
    False.
    """
    if not isinstance(value, torch.Tensor):
        return Leaf(place, value)
    return Leaf(place, detached_clone(value) if clone else value, facts_of(value))


def named_leaves(tree: Any, root: str) -> Iterator[tuple[str, Any]]:
    """Yield places and leaves of a pytree: ``output[0]['logits']``, ``args[1].mask``."""
    try:
        leaves = pytree.tree_flatten_with_path(tree)[0]
    except ValueError:  # a class that was registered without names for its children
        yield from ((f"{root}<{number}>", leaf) for number, leaf in enumerate(pytree.tree_leaves(tree)))
        return
    for path, leaf in leaves:
        yield root + pytree.keystr(path), leaf


def mapped(change: Callable[[Any, Any], Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Rebuild the arguments of a call with ``change(path, leaf)`` in place of every leaf.

    Raises
    ------
    InputsRefused
        When a class among the arguments refuses the new leaves.
    """
    leaves, spec = pytree.tree_flatten_with_path((tuple(args), dict(kwargs)))
    made = [change(path, leaf) for path, leaf in leaves]
    try:
        return pytree.tree_unflatten(made, spec)
    except Exception as error:
        raise InputsRefused(
            f"a class among the inputs refuses other sizes: {type(error).__name__}: {error}. "
            "Declare the dims that depend on each other in dynamic_shapes, or give the case inputs= to make its inputs."
        ) from error


def input_leaves(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield places and leaves of the arguments of a call."""
    yield from named_leaves(args, "args")
    yield from named_leaves(dict(kwargs), "kwargs")
