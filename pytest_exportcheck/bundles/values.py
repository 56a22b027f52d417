"""Plainer values of the inputs: ones, whole numbers, or what a seeded generator draws, so that a script can hold them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from pytest_exportcheck.bundles.draft import Draft, Slot
from pytest_exportcheck.bundles.search import Search
from pytest_exportcheck.harness.tensors import same_bits

#: Elements of a tensor that is written out, at most.
MOST_ELEMENTS = 24
_SEEDS = 3


@dataclass(frozen=True)
class Recipe:
    """An expression of Python for a tensor, and the tensor itself."""

    text: str
    value: torch.Tensor


def recipes(value: torch.Tensor) -> Iterator[Recipe]:
    """Yield plain tensors of the shape and dtype of a tensor, contiguous ones only, the plainest first."""
    shape, dtype = tuple(value.shape), value.dtype
    of_dtype = "" if dtype is torch.get_default_dtype() else f", dtype={dtype}"
    size = shape if len(shape) != 1 else shape[0]
    yield Recipe(f"torch.ones({size}{of_dtype})", torch.ones(shape, dtype=dtype))
    yield Recipe(f"torch.zeros({size}{of_dtype})", torch.zeros(shape, dtype=dtype))
    if dtype is torch.bool:
        return
    if dtype.is_floating_point or not dtype.is_complex:
        count = value.numel()
        end = f"{float(count)}" if dtype.is_floating_point else f"{count}"
        reshaped = f".reshape{shape}" if len(shape) != 1 else ""
        made = torch.arange(float(end) if dtype.is_floating_point else count, dtype=dtype)
        yield Recipe(f"torch.arange({end}{of_dtype}){reshaped}", made.reshape(shape))
    if dtype.is_floating_point or dtype.is_complex:
        for seed in range(_SEEDS):
            generator = torch.Generator().manual_seed(seed)
            text = f"torch.randn({size}, generator=torch.Generator().manual_seed({seed}){of_dtype})"
            yield Recipe(text, torch.randn(shape, generator=generator, dtype=dtype))


def recipe_of(value: torch.Tensor) -> str | None:
    """Return the expression that makes a tensor, None if no recipe does."""
    if not _is_plain(value):
        return None
    given = value.detach()
    return next((each.text for each in _drawable(given) if same_bits(each.value, given)), None)


def plain_values(search: Search) -> None:
    """Replace the values of the inputs and of the state by plainer ones, one after the other."""
    for name in list(Draft(search.best).slots):
        for number, plain in enumerate(_plainer(Draft(search.best).slots[name].values[0])):
            if search.edit(lambda draft, name=name, plain=plain: _set(draft, name, plain)):  # type: ignore[misc]
                break
            if number > 12:
                break


def _plainer(value: Any) -> Iterator[torch.Tensor]:
    """Yield candidates for a value, the plainest first; large tensors have to follow from a recipe."""
    if not isinstance(value, torch.Tensor) or not _is_plain(value):
        return
    given = value.detach()
    small = given.numel() <= MOST_ELEMENTS
    if given.dtype.is_floating_point and small:
        for plain in (torch.ones_like(given), _counted(given), given.round(), (given * 10).round() / 10, (given * 100).round() / 100):
            yield plain
    for each in _drawable(given):
        yield each.value


def _counted(given: torch.Tensor) -> torch.Tensor:
    return torch.arange(1.0, given.numel() + 1).reshape(given.shape).to(given.dtype)


def _drawable(given: torch.Tensor) -> Iterator[Recipe]:
    """Yield the recipes that torch has for a dtype."""
    try:
        yield from recipes(given)
    except (RuntimeError, NotImplementedError):
        return


def _is_plain(value: torch.Tensor) -> bool:
    strided = type(value) in (torch.Tensor, torch.nn.Parameter) and value.layout is torch.strided
    return strided and value.device.type == "cpu" and value.is_contiguous() and not value.is_neg() and not value.is_conj()


def _set(draft: Draft, name: str, plain: torch.Tensor) -> None:
    slot = draft.slots[name]
    old = slot.values[0]
    made: torch.Tensor = plain.clone()
    if isinstance(old, torch.nn.Parameter):
        made = torch.nn.Parameter(made, requires_grad=old.requires_grad)
    elif old.requires_grad:
        made.requires_grad_()
    draft.slots[name] = Slot(slot.spec, (made,) * len(slot.values))


