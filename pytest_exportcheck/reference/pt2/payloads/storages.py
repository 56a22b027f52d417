"""Conversion between storages and bytes, and tensors as views of a storage."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from contextlib import nullcontext

import torch

from pytest_exportcheck.errors import ArchiveError, PayloadError
from pytest_exportcheck.reference._torch.values import FakeTensorMode
from pytest_exportcheck.reference.pt2.archive.zip_format import ALIGNMENT, damaged
from pytest_exportcheck.reference.pt2.convert.dtypes import DTYPES, LAYOUT_NUMBERS, SCALAR_TYPES
from pytest_exportcheck.reference.pt2.schema import Device, SymInt, TensorMeta

TORCH_REFUSALS = RuntimeError, TypeError, ValueError, IndexError, OverflowError, AssertionError
"""What torch raises for sizes, dtypes, devices and components that make no tensor."""
_LARGEST = 2**63 - 1


def refused(place: str, error: Exception) -> ArchiveError:
    """Return the error for a tensor that an archive describes and torch cannot make."""
    reason = str(error).splitlines() or [type(error).__name__]
    return damaged(place, f"torch cannot create its tensor: {reason[0]}")


def bytes_of(storage: torch.UntypedStorage) -> memoryview:
    """Return the bytes of a storage; those of a storage on the CPU are not copied. The memory lives as long as the
    result.
    """
    if not storage.nbytes():
        return memoryview(b"")
    if storage.device.type != "cpu":
        storage = storage.cpu()  # type: ignore[no-untyped-call]
    array = (ctypes.c_ubyte * storage.nbytes()).from_address(storage.data_ptr())
    array.owner = storage  # type: ignore[attr-defined]
    return memoryview(array)


def storage_over(memory: memoryview) -> torch.UntypedStorage:
    """Return a storage on the CPU that uses this memory and keeps it alive, or a copy where the address is not
    aligned.
    """
    if not memory.nbytes:
        return torch.empty(0, dtype=torch.uint8).untyped_storage()
    flat = torch.frombuffer(memory, dtype=torch.uint8)
    return (flat.clone() if flat.data_ptr() % ALIGNMENT else flat).untyped_storage()


def storage_on(storage: torch.UntypedStorage, device: Device, place: str) -> torch.UntypedStorage:
    """Return the storage on a device, unchanged where that is the CPU.

    Raises
    ------
    PayloadError
        Where this machine has no such device.
    """
    if device.type == "cpu":
        return storage
    flat = torch.empty(0, dtype=torch.uint8).set_(storage)
    try:
        return flat.to(torch_device(device)).untyped_storage()
    except TORCH_REFUSALS as error:
        raise PayloadError(
            f"{place} was saved on {_device_text(device)}, which is not available here: {str(error).splitlines()[0]} "
            "Load it on a machine with that device, or save it from the CPU."
        ) from None


def storage_without_data(nbytes: int, device: Device, mode: FakeTensorMode | None) -> torch.UntypedStorage:
    """Return a storage of a size and without bytes: of a fake tensor, where there is a mode, and else on the meta
    device.
    """
    with mode or nullcontext():
        return torch.empty(nbytes, dtype=torch.uint8, device=torch_device(device)).untyped_storage()


def view_of(storage: torch.UntypedStorage, meta: TensorMeta, mode: FakeTensorMode | None = None) -> torch.Tensor:
    """Return the strided tensor that ``meta`` describes, over a storage that is large enough; without gradient. It is
    fake where there is a mode.
    """
    with mode or nullcontext():
        empty = torch.empty(0, dtype=DTYPES[meta.dtype], device=torch_device(meta.device))
        return empty.set_(storage, meta.storage_offset.as_int, _numbers(meta.sizes), _numbers(meta.strides))


def torch_device(device: Device) -> torch.device:
    """Return the device of torch; without an index where none was saved."""
    return torch.device(device.type) if device.index is None else torch.device(device.type, device.index)


def _device_text(device: Device) -> str:
    return device.type if device.index is None else f"{device.type}:{device.index}"


def reach(meta: TensorMeta, place: str) -> int:
    """Return how many bytes of its storage a strided tensor needs, from the storage's beginning on.

    Raises
    ------
    ArchiveError
        Where sizes and strides do not belong together, or a tensor cannot have them.
    """
    symbols = [each for each in (*meta.sizes, *meta.strides, meta.storage_offset) if each.tag != "as_int"]
    if symbols:
        raise damaged(place, f"its size {symbols[0].value.expr_str} is a symbol, but a stored tensor has fixed sizes")
    if meta.dtype not in DTYPES:
        raise damaged(place, f"its dtype {meta.dtype.name} does not exist in this torch")
    sizes, strides, offset = _numbers(meta.sizes), _numbers(meta.strides), meta.storage_offset.as_int
    count = 1
    for size in sizes:
        count *= size
    last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=False))
    numbers = (*sizes, *strides, offset)
    if len(sizes) != len(strides) or min(numbers) < 0 or max(*numbers, count, last) > _LARGEST:
        raise damaged(place, f"no tensor has sizes {list(sizes)}, strides {list(strides)} and storage offset {offset}")
    return (last + 1) * DTYPES[meta.dtype].itemsize if count else 0


def _numbers(sizes: Sequence[SymInt]) -> tuple[int, ...]:
    return tuple(size.as_int for size in sizes)


def meta_of(tensor: torch.Tensor, place: str) -> TensorMeta:
    """Return the configuration of a strided tensor.

    Raises
    ------
    PayloadError
        Where the schema has no number for its dtype, or a size is a symbol.
    """
    dtype = SCALAR_TYPES.get(tensor.dtype)
    if dtype is None:
        raise PayloadError(f"{place} cannot be saved: the schema has no number for its dtype {tensor.dtype}. Cast it.")
    return TensorMeta(
        dtype=dtype,
        sizes=_sizes(tensor.shape, place),
        requires_grad=tensor.requires_grad,
        device=Device(type=tensor.device.type, index=tensor.device.index),
        strides=_sizes(tensor.stride(), place),
        storage_offset=_sizes([tensor.storage_offset()], place)[0],
        layout=LAYOUT_NUMBERS[tensor.layout],
    )


def _sizes(numbers: Sequence[int | torch.SymInt], place: str) -> list[SymInt]:
    for number in numbers:
        if isinstance(number, torch.SymInt):
            raise PayloadError(f"{place} cannot be saved: its size {number} is a symbol. Give it a fixed size.")
    return [SymInt("as_int", int(number)) for number in numbers]
