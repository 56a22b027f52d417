"""Memory layouts: tensors with the layout of another one, whose strides, gaps and expanded dims are kept."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from pytest_exportcheck.harness.tensors.facts import as_plain, is_strided
from pytest_exportcheck.harness.tensors.parts import has_own_kernels


@as_plain
def can_be_laid_out(tensor: torch.Tensor) -> bool:
    """Return True if :func:`laid_out_like` can make another tensor like this one."""
    return (
        is_strided(tensor) and not tensor.is_quantized and not has_own_kernels(tensor) and not is_packed(tensor.dtype)
    )


@as_plain
def laid_out_like(tensor: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Make an uninitialised plain tensor of this shape with the memory layout of a strided tensor.

    Dims keep their order, expanded dims stay expanded, and a step keeps its expression in terms of the dims within it,
    or a number where it is larger than they need: as torch states the strides of a placeholder. Elements never overlap.
    """
    expanded = [size > 1 and step == 0 for size, step in zip(tensor.shape, tensor.stride(), strict=True)]
    inner = [1 if wide else size for wide, size in zip(expanded, shape, strict=True)]
    made = torch.empty_strided(inner, strides_like(tensor, inner), dtype=tensor.dtype, device=tensor.device)
    return made.expand(tuple(shape))


@as_plain
def strides_like(tensor: torch.Tensor, shape: Sequence[int]) -> tuple[int, ...]:
    """Return strides for a shape, like those of the tensor: see :func:`laid_out_like`."""
    order = sorted(range(tensor.dim()), key=lambda dim: (tensor.stride()[dim], tensor.shape[dim], -dim))
    strides, dense, step = [1] * len(shape), 1, 1
    for dim in order:
        own, size = tensor.stride()[dim], tensor.shape[dim]
        follows = size == 1 or own in (0, dense)
        strides[dim] = step if follows else max(own, step)
        if size != 1 and own != 0:
            dense = own * size
        step = strides[dim] * max(1, shape[dim])
    return tuple(strides)


@as_plain
def fill(tensor: torch.Tensor, values: torch.Tensor) -> None:
    """Write values of the same shape into a tensor of :func:`laid_out_like`; of an expanded dim the first ones."""
    for dim, (size, step) in enumerate(zip(tensor.shape, tensor.stride(), strict=True)):
        if size > 1 and step == 0:  # one element in memory
            tensor, values = tensor.narrow(dim, 0, 1), values.narrow(dim, 0, 1)
    tensor.copy_(values)


def is_packed(dtype: torch.dtype) -> bool:
    """Return True if a dtype holds several numbers in a byte, or numbers that torch cannot compute with."""
    return dtype in _PACKED


_PACKED = frozenset(
    getattr(torch, name)
    for name in (
        *(f"uint{bits}" for bits in range(1, 8)),
        *(f"int{bits}" for bits in range(1, 8)),
        *("bits1x8", "bits2x4", "bits4x2", "bits8", "bits16", "float4_e2m1fn_x2"),
    )
    if hasattr(torch, name)
)
