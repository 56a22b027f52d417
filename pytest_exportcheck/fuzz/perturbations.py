"""Perturbations of inputs that can be drawn on request: layouts, special values, dtypes and ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from pytest_exportcheck.describe import place_of
from pytest_exportcheck.fuzz.inputs import is_resizable
from pytest_exportcheck.harness.tensors import input_leaves, mapped
from pytest_exportcheck.harness.tensors.layouts import strides_like
from pytest_exportcheck.records import Inputs

IN_CHANNELS_LAST = "in channels_last"


@dataclass(frozen=True)
class Variation:
    """One way to change one tensor. ``declared``: whether a program must accept the result as eager does."""

    name: str
    change: Callable[[torch.Tensor], torch.Tensor]
    fits: Callable[[torch.Tensor], bool]
    declared: bool = True


def varied(call: Inputs, place: str, variation: Variation) -> Inputs:
    """Return the inputs with one tensor changed, and the change in their label."""

    def change(path: Any, leaf: Any) -> Any:
        if place_of(path) != place or not is_resizable(leaf) or not variation.fits(leaf):
            return leaf
        with torch.no_grad():
            return variation.change(leaf.detach()).requires_grad_(leaf.requires_grad)

    args, kwargs = mapped(change, call.args, call.kwargs)
    label = ", ".join(filter(None, (call.label, f"{place} {variation.name}")))
    return Inputs(label, args, kwargs, call.sizes)


def variations_of(call: Inputs, also: frozenset[str]) -> list[tuple[str, Variation]]:
    """Return places of the tensors of these inputs, with each variation of the groups ``also`` that fits there."""
    return list(_fitting(call, also))


def _fitting(call: Inputs, also: frozenset[str]) -> Iterator[tuple[str, Variation]]:
    for place, leaf in input_leaves(call.args, call.kwargs):
        if is_resizable(leaf):
            for group in GROUPS:
                if group in also:
                    yield from ((place, each) for each in GROUPS[group] if each.fits(leaf))


def _every_second(tensor: torch.Tensor) -> torch.Tensor:
    wide = torch.zeros((*tensor.shape[:-1], 2 * tensor.shape[-1]), dtype=tensor.dtype, device=tensor.device)
    view = wide[..., ::2]
    view.copy_(tensor)
    return view


def _transposed(tensor: torch.Tensor) -> torch.Tensor:
    """Return the tensor with the last dim outermost in memory."""
    return tensor.movedim(-1, 0).contiguous().movedim(0, -1)


def _expanded(tensor: torch.Tensor) -> torch.Tensor:
    """Return the tensor with the first row in every row, without a copy."""
    return tensor[:1].clone().expand(tensor.shape)


def _offset(tensor: torch.Tensor) -> torch.Tensor:
    strides = strides_like(tensor, tensor.shape)
    span = sum((size - 1) * step for size, step in zip(tensor.shape, strides, strict=True)) + 1 if tensor.numel() else 0
    view = torch.zeros(span + 3, dtype=tensor.dtype, device=tensor.device).as_strided(tensor.shape, strides, 3)
    view.copy_(tensor)
    return view


def _with(value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda tensor: _sown(tensor, value)


def _with_denormals(tensor: torch.Tensor) -> torch.Tensor:
    return _sown(tensor, torch.finfo(tensor.dtype).smallest_normal / 2)


def _sown(tensor: torch.Tensor, value: float) -> torch.Tensor:
    """Return a copy with this value at a few places."""
    changed = tensor.clone()
    changed.reshape(-1)[:: max(1, changed.numel() // 3)] = value  # dense: a view
    return changed


def _as(dtype: torch.dtype) -> Variation:
    name = f"as {str(dtype).removeprefix('torch.')}"
    same_kind = _is_float if dtype.is_floating_point else _is_whole
    return Variation(name, lambda each: each.to(dtype), lambda each: same_kind(each) and each.dtype != dtype, False)


def _is_float(tensor: torch.Tensor) -> bool:
    return tensor.is_floating_point()


def _is_whole(tensor: torch.Tensor) -> bool:
    return not tensor.is_floating_point() and not tensor.is_complex() and tensor.dtype != torch.bool


def _any(_: torch.Tensor) -> bool:
    return True


def _has_dims(tensor: torch.Tensor) -> bool:
    return tensor.dim() > 0


def _is_dense_float(tensor: torch.Tensor) -> bool:
    return tensor.is_floating_point() and tensor.is_contiguous()


#: Group -> its variations. A dtype or a rank is never declared: a program may refuse another one, but not compute
#: something else.
GROUPS: Mapping[str, tuple[Variation, ...]] = {
    "layout": (
        Variation("as every second element of a wider tensor", _every_second, _has_dims),
        Variation("with its last dim outermost in memory", _transposed, lambda each: each.dim() > 1),
        Variation(
            IN_CHANNELS_LAST,
            lambda each: each.contiguous(memory_format=torch.channels_last),
            lambda each: each.dim() == 4,
        ),
        Variation("expanded from its first row", _expanded, lambda each: each.dim() > 0 and each.shape[0] > 0),
        Variation("at a storage offset of 3", _offset, _any),
    ),
    "special": (
        Variation("with inf", _with(float("inf")), _is_dense_float),
        Variation("with -inf", _with(float("-inf")), _is_dense_float),
        Variation("with nan", _with(float("nan")), _is_dense_float),
        Variation("with -0.0", _with(-0.0), _is_dense_float),
        Variation("with denormals", _with_denormals, _is_dense_float),
    ),
    "dtype": tuple(map(_as, (torch.float64, torch.float16, torch.bfloat16, torch.int32, torch.int64))),
    "rank": (
        Variation("with one more dim in front", lambda each: each.unsqueeze(0), _any, False),
        Variation(
            "without its first dim", lambda each: each[0], lambda each: each.dim() > 0 and each.shape[0] > 0, False
        ),
    ),
}
