"""Plainer values of the inputs: ones, whole numbers, or what a seeded generator draws, so that a script can hold them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from pytest_exportcheck.bundles.reduction.draft import Draft, Slot
from pytest_exportcheck.bundles.reduction.literals import MOST_ELEMENTS, layout_of, recipes
from pytest_exportcheck.bundles.reduction.search import Search


def plain_values(search: Search) -> None:
    """Replace the values of the inputs and of the state by plainer ones, one after the other."""
    for name in list(Draft(search.best).slots):
        for plain in zip(*map(_plainer, Draft(search.best).slots[name].values), strict=False):
            if search.edit(lambda draft, name=name, plain=plain: _set(draft, name, plain)):  # type: ignore[misc]
                break


def _plainer(value: Any) -> Iterator[torch.Tensor]:
    """Yield candidates for a value with its layout, the plainest first; large tensors have to follow from a recipe."""
    layout = layout_of(value) if isinstance(value, torch.Tensor) else None
    if layout is None:
        return
    base = layout.base
    yield from (layout.of(each.value) for each in recipes(base) if not each.text.startswith("torch.zeros"))
    if base.dtype.is_floating_point and base.numel() <= MOST_ELEMENTS:
        yield from (layout.of((base * scale).round() / scale) for scale in (1, 10, 100))


def _set(draft: Draft, name: str, plain: Sequence[torch.Tensor]) -> None:
    """Set the values of an input in each call, or the value of the state."""
    slot = draft.slots[name]
    draft.slots[name] = Slot(slot.spec, tuple(map(_made, plain, slot.values)))


def _made(plain: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
    made = plain.clone(memory_format=torch.preserve_format) if not plain.is_conj() else plain
    if isinstance(old, torch.nn.Parameter):
        made = torch.nn.Parameter(made, requires_grad=old.requires_grad)
    elif old.requires_grad:
        made.requires_grad_()
    return made
