"""Tensors from one process to another: through a file that both map into memory.

A tensor keeps its strides: the elements between its first and its last one are copied as they are. Imports torch only.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch

#: A leaf in a message: a number, a text or None as it is, a tensor as its place in the file.
Leaf: TypeAlias = "int | float | bool | str | dict[str, Any] | None"

#: Bytes at multiples of which tensors begin; runtimes read some of them as vectors of this size.
ALIGNED = 64


def shared_folder() -> Path:
    """Make a folder in memory where the system has one (64 MiB free at least), else among the temporary files."""
    memory = Path("/dev/shm")
    in_memory = memory.is_dir() and os.access(memory, os.W_OK) and _free(memory) > 64 * 2**20
    return Path(tempfile.mkdtemp(prefix="exportcheck-", dir=memory if in_memory else None))


def _free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


class SharedFile:
    """A file that one process writes and the other reads. It grows as needed and never shrinks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mapped: torch.Tensor | None = None

    def put(self, leaves: Sequence[Any]) -> list[Leaf]:
        """Write leaves from the beginning of the file, and return what a message says of them."""
        extents = [_extent(leaf) if isinstance(leaf, torch.Tensor) else 0 for leaf in leaves]
        offsets, size = [], 0
        for extent in extents:
            offsets.append(size)
            size += -(-extent // ALIGNED) * ALIGNED
        mapped = self._of_size(size)
        return [
            _put(mapped, leaf, offset) if isinstance(leaf, torch.Tensor) else _plain(leaf)
            for leaf, offset in zip(leaves, offsets, strict=True)
        ]

    def get(self, said: Sequence[Leaf]) -> list[Any]:
        """Return the leaves of a message. Tensors share the memory of the file until the next message."""
        needed = max((each["end"] for each in said if isinstance(each, dict) and "end" in each), default=0)
        mapped = self._of_size(needed)
        return [_get(mapped, each) for each in said]

    def _of_size(self, size: int) -> torch.Tensor:
        if self._mapped is None or self._mapped.numel() < size:
            present = self.path.stat().st_size if self.path.exists() else 0
            self._mapped = None  # before it grows: the old map ends too early
            self._mapped = torch.from_file(
                str(self.path), shared=True, size=max(size, present, 4096), dtype=torch.uint8
            )
        return self._mapped


def _extent(tensor: torch.Tensor) -> int:
    """Return the bytes from the first to behind the last element of a tensor."""
    if tensor.numel() == 0:
        return 0
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return (last + 1) * tensor.element_size()


def _put(mapped: torch.Tensor, tensor: torch.Tensor, offset: int) -> Leaf:
    plain = tensor.detach().resolve_conj().resolve_neg()
    extent = _extent(plain)
    if extent:
        elements = extent // plain.element_size()
        flat = plain.as_strided((elements,), (1,), plain.storage_offset())
        mapped[offset : offset + extent].view(plain.dtype).copy_(flat)
    return {
        "dtype": str(plain.dtype).removeprefix("torch."),
        "shape": list(plain.shape),
        "stride": list(plain.stride()),
        "at": offset,
        "end": offset + extent,
    }


def _get(mapped: torch.Tensor, said: Leaf) -> Any:
    if not isinstance(said, dict):
        return said
    if "complex" in said:
        return complex(*said["complex"])
    dtype = getattr(torch, said["dtype"])
    flat = mapped[said["at"] : said["end"]].view(dtype)
    return flat.as_strided(said["shape"], said["stride"], flat.storage_offset())


def _plain(leaf: Any) -> Leaf:
    if leaf is None or isinstance(leaf, (bool, int, float, str)):
        return leaf
    if isinstance(leaf, complex):
        return {"complex": [leaf.real, leaf.imag]}
    raise TypeError(
        f"a value of type {type(leaf).__module__}.{type(leaf).__qualname__} cannot be given to another process"
    )
