"""Copies of one tensor and of a pytree of tensors."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch

from pytest_exportcheck.harness._torch import FakeTensor, FunctionalTensor, pytree
from pytest_exportcheck.harness.tensors.facts import UNREADABLE, as_plain
from pytest_exportcheck.harness.tensors.parts import is_emptied


def detached_clone(tensor: torch.Tensor) -> torch.Tensor:
    """Return the values of a tensor in a new storage; return a tensor that cannot be cloned, such as a tracing tensor,
    unchanged.
    """
    if isinstance(tensor, FunctionalTensor) or is_emptied(tensor):
        return tensor
    with torch.no_grad():
        for clone in (_clone, as_plain(_clone), as_plain(_clone_bytes), as_plain(_clone_wrapped)):
            try:
                return clone(tensor)
            except UNREADABLE:
                continue
    return tensor


def _clone(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().clone()


def _clone_bytes(tensor: torch.Tensor) -> torch.Tensor:
    """Clone packed dtypes, which have no kernel to copy."""
    return tensor.detach().view(torch.uint8).clone().view(tensor.dtype)


def _clone_wrapped(tensor: torch.Tensor) -> torch.Tensor:
    """Clone a wrapper subclass whose class does not clone."""
    names, context = tensor.__tensor_flatten__()  # type: ignore[attr-defined]
    inner = {name: detached_clone(getattr(tensor, name)) for name in names}
    clone: torch.Tensor = type(tensor).__tensor_unflatten__(inner, context, tensor.shape, tensor.stride())  # type: ignore[attr-defined]
    return clone


def copy_tree(tree: Any) -> Any:
    """Return a copy of a pytree of inputs; tensors that shared storage share it in the copy too, strides are kept.

    Leaves that cannot be copied are returned unchanged.
    """
    memo: dict[int, Any] = {}
    for leaf in _tensors_in(tree):
        if id(leaf) not in memo:
            memo[id(leaf)] = copied(leaf, memo)
    try:
        return copy.deepcopy(tree, memo)
    except Exception:  # an object among the inputs refuses, in its own words
        return pytree.tree_map(lambda leaf: _copied_leaf(leaf, memo), tree)


def copied(tensor: torch.Tensor, memo: dict[int, Any]) -> torch.Tensor:
    """Return a copy with the strides of a tensor, as a leaf; tensors that share storage share it in copies of one
    ``memo``.
    """
    if isinstance(tensor, (FakeTensor, FunctionalTensor)) or is_emptied(tensor):
        return tensor
    try:
        copy_of: torch.Tensor = copy.deepcopy(tensor if tensor.is_leaf else tensor.detach(), memo)
    except Exception:  # a subclass may raise anything
        copy_of = detached_clone(tensor)
    if _is_negative(tensor):  # deepcopy carries the negation out, and forgets the strides
        copy_of = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=tensor.device)
        copy_of.copy_(tensor.detach())
    if copy_of.requires_grad != tensor.requires_grad:
        set_requires_grad(copy_of, tensor.requires_grad)
    return copy_of


@as_plain
def _is_negative(tensor: torch.Tensor) -> bool:
    return tensor.is_neg()


@as_plain
def set_requires_grad(tensor: torch.Tensor, requires_grad: bool) -> None:
    """Set the flag of a leaf."""
    tensor.requires_grad_(requires_grad)


def _tensors_in(tree: Any) -> list[torch.Tensor]:
    """Return the tensors among the leaves of a pytree; none where a class of the user's cannot be taken apart."""
    try:
        return [leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, torch.Tensor)]
    except Exception:
        return []


def _copied_leaf(leaf: Any, memo: Mapping[int, Any]) -> Any:
    if id(leaf) in memo:
        return memo[id(leaf)]
    try:
        return copy.deepcopy(leaf)
    except Exception:
        return leaf
