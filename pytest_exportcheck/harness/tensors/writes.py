"""Writes to one tensor: their count, and the restoration of its values."""

from __future__ import annotations

import torch

from pytest_exportcheck.harness import _torch as private
from pytest_exportcheck.harness._torch import is_view
from pytest_exportcheck.harness.tensors import (
    UNREADABLE,
    as_plain,
    detached_clone,
    has_own_kernels,
    is_strided,
    same_bits,
)


@as_plain
def make_leaf(tensor: torch.Tensor) -> None:
    """Make a tensor a leaf again after a value that requires grad was written to it. A view cannot become one in place:
    runs are given aliases that are not views (:meth:`ModuleSnapshot.aliased`).
    """
    if not tensor.is_leaf and not is_view(tensor):
        tensor.detach_()


@as_plain
def write_count(tensor: torch.Tensor) -> int | None:
    """Return how often a tensor was written to; None for an inference tensor, which does not count."""
    try:
        return private.write_count(tensor)
    except UNREADABLE:
        return None


@as_plain
def version_of(tensor: torch.Tensor) -> tuple[int, int] | None:
    """Return a value that changes when a tensor is written to or gets another storage; None if it has no count or no
    storage.
    """
    count = write_count(tensor)
    try:
        return None if count is None else (count, tensor.data_ptr())
    except UNREADABLE:
        return None


@as_plain
def write_back(tensor: torch.Tensor, value: torch.Tensor) -> None:
    """Give a tensor its values back, in place and past its version counter; a tensor that cannot be written to keeps
    its values.
    """
    if same_bits(tensor, value):
        return
    for write in (_write, _write_elements, _replace):
        try:
            with torch.inference_mode(tensor.is_inference()):
                write(tensor, value)
        except UNREADABLE:
            continue
        if same_bits(tensor, value):
            return


def _write(tensor: torch.Tensor, value: torch.Tensor) -> None:
    if not is_strided(tensor) or tensor.is_quantized:
        tensor.copy_(value)
    elif has_own_kernels(tensor):
        for name in type(tensor).__tensor_flatten__(tensor)[0]:  # type: ignore[attr-defined]
            write_back(getattr(tensor, name), getattr(value, name))
    elif tensor.shape != value.shape:  # resized since
        tensor.data = detached_clone(value)
    else:
        tensor.data.copy_(value)


def _write_elements(tensor: torch.Tensor, value: torch.Tensor) -> None:
    """Write elements that share memory, as expanded and overlapping ones do, one by one, by their place in the
    storage.
    """
    places = torch.zeros((), dtype=torch.int64)
    for size, step in zip(tensor.shape, tensor.stride(), strict=True):
        places = places.unsqueeze(-1) + torch.arange(size) * step
    flat = tensor.data.as_strided((int(places.max()) + 1,), (1,))
    flat[places.reshape(-1).to(tensor.device)] = value.reshape(-1)


def _replace(tensor: torch.Tensor, value: torch.Tensor) -> None:
    tensor.data = detached_clone(value)
