"""Indexing by numbers that only a call knows: Python's own indexing would ask for their values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from pytest_exportcheck.reference._torch.values import is_batched

_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def indexed(tensor: torch.Tensor, index: Any) -> torch.Tensor | None:
    """Return ``tensor[index]`` dim by dim where a symbol or a tensor of one integer is among the numbers and the ends
    of slices; None for any other index.
    """
    items = list(index) if isinstance(index, tuple) else [index]
    if not any(map(_is_symbolic, (number for item in items for number in _numbers(item)))):
        return None
    items = list(_without_ellipsis(items, tensor.dim()))
    if not all(item is None or isinstance(item, slice) or _is_number(item) for item in items):
        return None
    dim = 0
    for item in items:
        if item is None:
            tensor = tensor.unsqueeze(dim)
        elif isinstance(item, slice):
            start, stop, step = map(_number, (item.start, item.stop, 1 if item.step is None else item.step))
            if not (start is None and stop is None and isinstance(step, int) and step == 1):
                tensor = torch.ops.aten.slice(tensor, dim, start, stop, step)
        else:
            tensor = torch.select(tensor, dim, _number(item))
            continue
        dim += 1
    return tensor


def _numbers(item: Any) -> tuple[Any, ...]:
    return (item.start, item.stop, item.step) if isinstance(item, slice) else (item,)


def _is_symbolic(item: Any) -> bool:
    return isinstance(item, torch.SymInt) or _is_tensor_of_one(item)


def _is_tensor_of_one(item: Any) -> bool:
    return isinstance(item, torch.Tensor) and not item.dim() and item.dtype in _INTEGERS and not is_batched(item)


def _is_number(item: Any) -> bool:
    return (isinstance(item, int) and not isinstance(item, bool)) or _is_symbolic(item)


def _number(item: Any) -> Any:
    return item.item() if isinstance(item, torch.Tensor) else item


def _without_ellipsis(items: list[Any], dims: int) -> Iterator[Any]:
    """Yield the items with whole slices in place of an ellipsis."""
    taken = sum(item is not None and item is not Ellipsis for item in items)
    for item in items:
        yield from [slice(None)] * (dims - taken) if item is Ellipsis else [item]
