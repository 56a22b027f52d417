"""Parts of one tensor: the plain strided tensors that together hold its elements."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping

import torch

from pytest_exportcheck.harness._torch import FakeTensor, FunctionalTensor, coo_parts
from pytest_exportcheck.harness.tensors.facts import UNREADABLE, as_plain, is_strided

_COMPRESSED: Mapping[torch.layout, tuple[str, str]] = {
    torch.sparse_csr: ("crow_indices", "col_indices"),
    torch.sparse_bsr: ("crow_indices", "col_indices"),
    torch.sparse_csc: ("ccol_indices", "row_indices"),
    torch.sparse_bsc: ("ccol_indices", "row_indices"),
}


@as_plain
def storage_key(tensor: torch.Tensor) -> Hashable:
    """Return a key that two tensors have in common when they share storage; None if a tensor has no storage to share.

    A wrapper subclass shares storage with another one that wraps tensors of the same storages.
    """
    inner = _wrapped(tensor)
    if inner:
        keys = tuple(storage_key(each) for _, each in inner)
        return (type(tensor).__name__, *keys) if any(keys) else None
    try:
        pointer = tensor.untyped_storage().data_ptr()
    except UNREADABLE:  # layouts without a storage: sparse, opaque, fake
        return None
    return (str(tensor.device), pointer) if pointer else None


@as_plain
def has_values(tensor: torch.Tensor) -> bool:
    """Return True if the elements of a tensor can be read: not those on the meta device, of a tracing tensor that
    leaked out of a capture, of a storage that was given back, or of a wrapper that does not expose the tensors that it
    wraps.
    """
    if tensor.is_meta or isinstance(tensor, (FakeTensor, FunctionalTensor)):
        return False
    inner = _wrapped(tensor)
    if inner is not None:
        return all(has_values(each) for _, each in inner)
    return not _is_opaque(tensor) and not is_emptied(tensor)


@as_plain
def parts_of(tensor: torch.Tensor) -> tuple[tuple[str, torch.Tensor], ...]:
    """Return the plain, dense, detached tensors that hold the elements, with a name for each; the name is empty where
    the tensor is its own only part. Empty for a tensor without values.
    """
    if not has_values(tensor):
        return ()
    try:
        return tuple(_parts("", tensor))
    except UNREADABLE:  # a kind that has no kernel to read it
        return ()


def _parts(name: str, tensor: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    dot = f"{name}." if name else ""
    inner = _wrapped(tensor)
    if inner is not None:
        for key, each in inner:
            yield from _parts(dot + key, each)
    elif tensor.is_nested:
        for number, each in enumerate(tensor.detach().unbind()):
            yield from _parts(f"{dot}component {number}", each)
    elif tensor.layout is torch.sparse_coo:
        indices, values = _coordinates(tensor.detach())
        yield f"{dot}indices", indices
        yield from _parts(f"{dot}values", values)
    elif tensor.layout in _COMPRESSED:
        for method in (*_COMPRESSED[tensor.layout], "values"):
            yield from _parts(dot + method, getattr(tensor.detach(), method)())
    else:
        yield name, dense(tensor)


def _coordinates(tensor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    try:
        tensor = tensor.coalesce()
    except UNREADABLE:  # no kernel for the dtype: as they are stored
        return coo_parts(tensor)
    return tensor.indices(), tensor.values()


def _wrapped(tensor: torch.Tensor) -> list[tuple[str, torch.Tensor]] | None:
    """Return the tensors that a wrapper subclass exposes; None for a tensor that is not such a wrapper."""
    flatten = getattr(type(tensor), "__tensor_flatten__", None)
    if flatten is None or not has_own_kernels(tensor):
        return None
    named = ((str(name), getattr(tensor, name)) for name in flatten(tensor)[0])
    return [(name, each) for name, each in named if isinstance(each, torch.Tensor)]


def has_own_kernels(tensor: torch.Tensor) -> bool:
    """Return True if the class of a tensor implements the operators itself."""
    return type(tensor).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__


def _is_opaque(tensor: torch.Tensor) -> bool:
    """Return True if the class implements the operators and does not expose the tensors that it wraps."""
    return has_own_kernels(tensor) and _wrapped(tensor) is None


@as_plain
def is_emptied(tensor: torch.Tensor) -> bool:
    """Return True if the storage is smaller than the tensor needs, as sharding wrappers leave parameters."""
    if not is_strided(tensor) or tensor.numel() == 0:
        return False
    try:
        return tensor.untyped_storage().nbytes() < (tensor.storage_offset() + _extent(tensor)) * tensor.element_size()
    except UNREADABLE:  # an opaque layout has no storage
        return False


def _extent(tensor: torch.Tensor) -> int:
    """Return how many elements of its storage a strided tensor spans, from its first to its last."""
    if tensor.numel() == 0:
        return 0
    return 1 + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))


def dense(tensor: torch.Tensor) -> torch.Tensor:
    """Return a detached, plain, contiguous tensor without conjugate or negative bit; of quantised elements the numbers
    they mean.
    """
    if _is_dense(tensor):
        return tensor
    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    tensor = tensor.detach().as_subclass(torch.Tensor).resolve_conj().resolve_neg()
    if tensor.is_quantized:  # equal integers mean different numbers under another scale
        return tensor.dequantize().contiguous()
    try:
        return tensor.contiguous()
    except NotImplementedError:  # packed dtypes have no kernel, not even to copy
        return tensor.view(torch.uint8).contiguous().view(tensor.dtype)


def _is_dense(tensor: torch.Tensor) -> bool:
    return (
        type(tensor) is torch.Tensor
        and tensor.layout is torch.strided
        and tensor.dtype in _COMPUTING
        and not (tensor.requires_grad or tensor.is_nested or tensor.is_conj() or tensor.is_neg())
        and tensor.is_contiguous()
    )


#: Dtypes of elements that are the numbers they mean: neither quantised nor packed.
_COMPUTING = frozenset(
    {torch.bool, torch.uint8, torch.int32, torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64}
)
