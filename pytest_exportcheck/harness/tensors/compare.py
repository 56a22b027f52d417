"""Comparisons of two tensors, bit by bit."""

from __future__ import annotations

import torch

from pytest_exportcheck.harness.tensors.copies import detached_clone
from pytest_exportcheck.harness.tensors.facts import as_plain, is_strided
from pytest_exportcheck.harness.tensors.parts import dense, has_own_kernels, parts_of


@as_plain
def same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Return whether two tensors of equal shape and dtype hold the same values, sign of zero included.

    Any nan equals any nan: the payload of a nan that an operation returns is not specified. Tensors without values are
    the same where their class and device are.
    """
    if one is other:
        return True
    if one.dtype != other.dtype or one.layout != other.layout or one.is_nested != other.is_nested:
        return False
    if not one.is_nested and one.shape != other.shape:
        return False
    if _is_same_memory(one, other):
        return True
    left, right = parts_of(one), parts_of(other)
    if not left or not right:
        return len(left) == len(right) and type(one) is type(other) and one.device == other.device
    return len(left) == len(right) and all(
        here == there and _same_elements(this, that) for (here, this), (there, that) in zip(left, right, strict=True)
    )


def _same_elements(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.dtype != other.dtype or one.shape != other.shape or one.device != other.device:
        return False
    return bool(differing_elements(one, other).numel() == 0)


def _is_same_memory(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Return whether two tensors of equal shape and dtype are views of the very same elements."""
    if (
        not (is_strided(one) and is_strided(other))
        or one.is_quantized
        or has_own_kernels(one)
        or has_own_kernels(other)
    ):
        return False
    return (
        one.device == other.device
        and not one.is_meta
        and one.stride() == other.stride()
        and one.data_ptr() == other.data_ptr()
        and (one.is_conj(), one.is_neg()) == (other.is_conj(), other.is_neg())
    )


@as_plain
def differing_elements(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Return flat indices (int64, 1-D) of the elements that differ, for two parts (:func:`parts_of`) of equal shape and
    dtype.
    """
    left, right = dense(one), dense(other)
    if _same_bytes(as_bytes(left), as_bytes(right)):
        return torch.empty(0, dtype=torch.int64)
    return _differs(left, right).reshape(-1).nonzero().reshape(-1)


@as_plain
def as_bytes(tensor: torch.Tensor) -> torch.Tensor:
    """Return the bytes of the elements of a part in order: uint8, 1-D (bool for a bool tensor), from the start of a
    word.
    """
    tensor = dense(tensor)
    if tensor.storage_offset() * tensor.element_size() % 8:
        tensor = dense(detached_clone(tensor))
    if tensor.dtype is torch.bool:
        return tensor.reshape(-1)
    # a tensor of one element counts as contiguous whatever its stride, and a view as bytes asks for stride 1
    return tensor.as_strided((tensor.numel(),), (1,)).view(torch.uint8)


def _same_bytes(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Compare as ``left.equal(right)`` does, eight bytes at a time where memory allows: eight times as fast."""
    whole = left.numel() // 8 * 8
    if left.dtype is not torch.uint8 or left.storage_offset() % 8 or right.storage_offset() % 8:
        return left.equal(right)
    words = left[:whole].view(torch.int64), right[:whole].view(torch.int64)
    return words[0].equal(words[1]) and left[whole:].equal(right[whole:])


def _differs(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    if left.is_complex():
        pair = torch.view_as_real(left), torch.view_as_real(right)
        return _differs(*pair).any(-1)
    try:
        if not left.is_floating_point():
            return left != right
        # float8 kinds have few operators; every value of theirs is exact in float32
        wide = torch.float32 if left.element_size() == 1 else left.dtype
        left, right = left.to(wide), right.to(wide)
        same = ((left == right) & (left.signbit() == right.signbit())) | (left.isnan() & right.isnan())
    except (NotImplementedError, RuntimeError):  # packed and shell dtypes have no operators at all
        return (as_bytes(left) != as_bytes(right)).reshape(left.numel(), -1).any(-1)
    return ~same
