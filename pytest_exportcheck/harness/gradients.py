"""Backward through what a call returned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from pytest_exportcheck.harness.isolation import raised_from
from pytest_exportcheck.harness.snapshot import ModuleSnapshot
from pytest_exportcheck.harness.tensors import same_bits
from pytest_exportcheck.records import Gradients, Observation


def gradients_of(
    outputs: Sequence[tuple[str, Any]],
    inputs: Sequence[tuple[str, Any]],
    snapshot: ModuleSnapshot | None,
    *,
    like: Observation | None = None,
) -> Gradients | None:
    """Return gradients of a weighted sum of the outputs that require grad, for state and inputs that require it; None
    where no output does. Consumes the outputs' graph.
    """
    roots = [leaf for _, leaf in outputs if _differentiable(leaf)]
    targets = _targets([*(snapshot.current() if snapshot else []), *inputs])
    if not roots or not targets:
        return None
    try:
        values = torch.autograd.grad(
            roots, list(targets.values()), [_weights(root) for root in roots], allow_unused=True
        )
    except Exception as error:
        return Gradients({}, raised_from(error))
    known = like.gradients.values if like and like.gradients else {}
    return Gradients({name: _interned(value, known.get(name)) for name, value in zip(targets, values, strict=True)})


def backward_of(outputs: Sequence[Any], targets: Sequence[torch.Tensor]) -> dict[int, torch.Tensor | None]:
    """Run backward from the outputs that require grad, weighted as :func:`gradients_of` weights them, and return the
    gradients of the leaves among ``targets``, by their number. Consumes the outputs' graph.
    """
    roots = [leaf for leaf in outputs if _differentiable(leaf)]
    leaves = {number: each for number, each in enumerate(targets) if each.requires_grad and each.is_leaf}
    if not roots or not leaves:
        return {}
    weights = [_weights(root) for root in roots]
    values = torch.autograd.grad(roots, list(leaves.values()), weights, allow_unused=True)
    return dict(zip(leaves, values, strict=True))


def custom_functions(outputs: Sequence[Any]) -> tuple[str, ...]:
    """Name the ``torch.autograd.Function`` classes in the graph of some tensors, each once."""
    found: dict[str, None] = {}
    seen: set[Any] = set()
    pending: list[Any] = [
        leaf.grad_fn for leaf in outputs if isinstance(leaf, torch.Tensor) and leaf.grad_fn is not None
    ]
    while pending:
        node = pending.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if isinstance(node, torch.autograd.function.BackwardCFunction):
            found.setdefault(type(node).__name__.removesuffix("Backward"))
        pending += [parent for parent, _ in node.next_functions]
    return tuple(sorted(found))


def _differentiable(leaf: Any) -> bool:
    return (
        isinstance(leaf, torch.Tensor)
        and leaf.requires_grad
        and not leaf.is_nested
        and (leaf.is_floating_point() or leaf.is_complex())
    )


def _targets(tensors: Sequence[tuple[str, Any]]) -> dict[str, torch.Tensor]:
    """Return leaves that require grad, each once, under its first name."""
    found: dict[int, tuple[str, torch.Tensor]] = {}
    for name, tensor in tensors:
        if isinstance(tensor, torch.Tensor) and tensor.requires_grad and tensor.is_leaf:
            found.setdefault(id(tensor), (name, tensor))
    return dict(found.values())


def _weights(root: torch.Tensor) -> torch.Tensor:
    """Return weights from an eighth to seven eighths, in turns, so that no gradient vanishes because all outputs count
    alike.
    """
    count = torch.arange(root.numel(), device=root.device) % 7 + 1
    return (count / 8).to(root.dtype).reshape(root.shape)


def _interned(value: torch.Tensor | None, known: torch.Tensor | None) -> torch.Tensor | None:
    """Return the known tensor where it holds the same bits, so that equal gradients are kept once."""
    if value is None:
        return None
    if known is not None and known.shape == value.shape and same_bits(known, value):
        return known
    return value.detach()  # no other code writes to it: backward made it, and is over
