"""Tensors from one process to another: through a file that both map into memory.

A tensor keeps its strides: the elements between its first and its last one are copied as they are. Imports torch only.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch

from pytest_exportcheck.runtimes.owned_folders import MEMORY

#: A leaf in a message: a number, a text or None as it is, a tensor as its place in the file.
Leaf: TypeAlias = "int | float | bool | str | dict[str, Any] | None"

#: Bytes at multiples of which tensors begin; runtimes read some of them as vectors of this size.
ALIGNED = 64


def memory_folder() -> Path | None:
    """Return the folder in memory where the system has one with 64 MiB free at least, else None."""
    in_memory = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and _free(MEMORY) > 64 * 2**20
    return MEMORY if in_memory else None


def _free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


class SharedFile:
    """A file that one process writes and the other reads. It grows as needed and never shrinks. Where its folder has no
    room, a file in the folder ``spill`` takes its place.
    """

    def __init__(self, path: Path, spill: Path) -> None:
        self.path = path
        self._spill = spill
        self._mapped: torch.Tensor | None = None

    def put(self, leaves: Sequence[Any]) -> list[Leaf]:
        """Write leaves from the beginning of the file, and return what a message says of them.

        Raises
        ------
        TypeError
            For a leaf that another process cannot be given.
        """
        for leaf in leaves:
            if refused := refused_leaf(leaf):
                raise TypeError(f"{refused} cannot be given to another process")
        extents = [_extent(leaf) if isinstance(leaf, torch.Tensor) else 0 for leaf in leaves]
        offsets, size = [], 0
        for extent in extents:
            offsets.append(size)
            size += -(-extent // ALIGNED) * ALIGNED
        mapped = self._of_size(size, grow=True)
        return [
            _put(mapped, leaf, offset) if isinstance(leaf, torch.Tensor) else _plain(leaf)
            for leaf, offset in zip(leaves, offsets, strict=True)
        ]

    def get(self, said: Sequence[Leaf]) -> list[Any]:
        """Return the leaves of a message. Tensors share the memory of the file until the next message."""
        needed = max((each["end"] for each in said if isinstance(each, dict) and "end" in each), default=0)
        mapped = self._of_size(needed, grow=False)
        return [_get(mapped, each) for each in said]

    def _of_size(self, size: int, *, grow: bool) -> torch.Tensor:
        if self._mapped is None or self._mapped.numel() < size:
            present = self.path.stat().st_size if self.path.exists() else 0
            size = max(size, present, 4096)
            self._mapped = None  # before it grows: the old map ends too early
            if grow and size > present:
                self._reserve(size)
            self._mapped = torch.from_file(str(self.path), shared=True, size=size, dtype=torch.uint8)
        return self._mapped

    def _reserve(self, size: int) -> None:
        """Give the file this size. Without room for it, a write to the map would end the process."""
        try:
            _allocate(self.path, size)
        except OSError:
            replaced = self._spill / self.path.name
            _allocate(replaced, size)
            self.path.unlink(missing_ok=True)
            self.path.symlink_to(replaced)


def _allocate(file: Path, size: int) -> None:
    with file.open("ab") as opened:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(opened.fileno(), 0, size)
        else:
            opened.truncate(size)


def refused_leaf(leaf: Any) -> str:
    """Return a description of a leaf that another process cannot be given, empty for all others."""
    if not isinstance(leaf, torch.Tensor):
        plain = leaf is None or isinstance(leaf, (bool, int, float, complex, str))
        return "" if plain else f"a value of type {type(leaf).__module__}.{type(leaf).__qualname__}"
    if hasattr(leaf, "__tensor_flatten__"):
        return f"a tensor of class {type(leaf).__module__}.{type(leaf).__qualname__}"
    if leaf.is_nested:
        return "a nested tensor"
    if leaf.layout is not torch.strided:
        return f"a tensor of layout {str(leaf.layout).removeprefix('torch.')}"
    if leaf.is_quantized:
        return f"a quantised tensor ({str(leaf.dtype).removeprefix('torch.')})"
    return "a meta tensor" if leaf.is_meta else ""


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
        mapped[offset : offset + extent].copy_(flat.view(torch.uint8))
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
    if isinstance(leaf, complex):
        return {"complex": [leaf.real, leaf.imag]}
    plain: Leaf = leaf
    return plain
