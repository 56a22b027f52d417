"""What there is to know about one tensor: its facts, a clone, its storage, and whether two hold the same bits."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch._subclasses.fake_tensor import FakeTensor
from torch._subclasses.functional_tensor import FunctionalTensor

from pytest_exportcheck.records import Leaf, TensorFacts


def facts_of(tensor: torch.Tensor) -> TensorFacts:
    """Type, shape, dtype, device, layout, stride and gradient flags of a tensor."""
    strided = tensor.layout is torch.strided and not tensor.is_nested
    return TensorFacts(
        type=type(tensor).__name__,
        shape=tuple(tensor.shape) if not tensor.is_nested else (),
        dtype=str(tensor.dtype).removeprefix("torch."),
        device=str(tensor.device),
        layout=str(tensor.layout).removeprefix("torch."),
        stride=tuple(tensor.stride()) if strided else None,
        requires_grad=tensor.requires_grad,
        has_grad_fn=tensor.grad_fn is not None,
    )


def leaf_of(place: str, value: Any, *, clone: bool = True) -> Leaf:
    """A leaf of a pytree as it is now: a tensor with its facts, and a storage of its own unless ``clone`` is False."""
    if not isinstance(value, torch.Tensor):
        return Leaf(place, value)
    return Leaf(place, detached_clone(value) if clone else value, facts_of(value))


def detached_clone(tensor: torch.Tensor) -> torch.Tensor:
    """The values of a tensor in a storage of their own; a tracing tensor, which has none to clone, as it is."""
    if isinstance(tensor, FunctionalTensor):
        return tensor
    return tensor.detach().clone()


def storage_key(tensor: torch.Tensor) -> tuple[str, int] | None:
    """What two tensors have in common when they share storage; None where there is no storage to share."""
    try:
        pointer = tensor.untyped_storage().data_ptr()
    except (NotImplementedError, RuntimeError):  # layouts without a storage: sparse, opaque, fake
        return None
    return (str(tensor.device), pointer) if pointer else None


def has_values(tensor: torch.Tensor) -> bool:
    """Whether there is data behind a tensor: not on the meta device, and no tracing tensor that leaked out of a capture."""
    return not isinstance(tensor, (FakeTensor, FunctionalTensor)) and not tensor.is_meta


def same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors of equal shape and dtype hold the same values, sign of zero included.

    Any nan equals any nan: which payload an operation leaves is not specified.
    """
    if one is other:
        return True
    if one.dtype != other.dtype or one.layout != other.layout or one.is_nested != other.is_nested:
        return False
    if one.is_nested:
        parts = one.detach().unbind(), other.detach().unbind()
        return len(parts[0]) == len(parts[1]) and all(map(same_bits, *parts))
    if one.shape != other.shape:
        return False
    if not (has_values(one) and has_values(other)):
        return type(one) is type(other) and one.device == other.device
    if _is_same_memory(one, other):
        return True
    return bool(differing_elements(one, other).numel() == 0)


def _is_same_memory(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors of equal shape and dtype are views of the very same elements."""
    return (
        one.layout is torch.strided
        and one.device == other.device
        and not one.is_quantized
        and one.stride() == other.stride()
        and one.data_ptr() == other.data_ptr()
        and (one.is_conj(), one.is_neg()) == (other.is_conj(), other.is_neg())
    )


def differing_elements(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Flat indices (int64, 1-D) of the elements that differ, for tensors of equal shape and dtype that are not nested."""
    left, right = _dense(one), _dense(other)
    if left.is_quantized:  # equal integers mean different numbers under another scale
        left, right = left.dequantize(), right.dequantize()
    if left.shape != right.shape:
        return torch.arange(max(left.numel(), 1))
    if _same_bytes(as_bytes(left), as_bytes(right)):
        return torch.empty(0, dtype=torch.int64)
    return _differs(left, right).reshape(-1).nonzero().reshape(-1)


def _dense(tensor: torch.Tensor) -> torch.Tensor:
    """A detached, contiguous tensor without conjugate or negative bit."""
    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    return tensor.detach().resolve_conj().resolve_neg().contiguous()


def as_bytes(tensor: torch.Tensor) -> torch.Tensor:
    """The bytes of a tensor's elements in order: uint8, 1-D (bool for a bool tensor)."""
    tensor = _dense(tensor)
    if tensor.dtype is torch.bool:
        return tensor.reshape(-1)
    # a tensor of one element counts as contiguous whatever its stride, and a view as bytes asks for stride 1
    return tensor.as_strided((tensor.numel(),), (1,)).view(torch.uint8)


def _same_bytes(left: torch.Tensor, right: torch.Tensor) -> bool:
    """As ``left.equal(right)``, eight bytes at a time where memory allows: eight times as fast."""
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
    except (NotImplementedError, RuntimeError):  # packed and shell dtypes have no operators at all
        return (as_bytes(left) != as_bytes(right)).reshape(left.numel(), -1).any(-1)
    same = ((left == right) & (left.signbit() == right.signbit())) | (left.isnan() & right.isnan())
    return ~same


def copy_tree(tree: Any) -> Any:
    """A copy of a pytree of inputs; tensors that shared storage share it in the copy too, strides are kept.

    Leaves that cannot be copied are passed on as they are.
    """
    try:
        return copy.deepcopy(tree)
    except Exception:
        return pytree.tree_map(_copy_leaf, tree)


def _copy_leaf(leaf: Any) -> Any:
    if isinstance(leaf, torch.Tensor):
        return detached_clone(leaf).requires_grad_(leaf.requires_grad)
    try:
        return copy.deepcopy(leaf)
    except Exception:
        return leaf


def named_leaves(tree: Any, root: str) -> Iterator[tuple[str, Any]]:
    """Places and leaves of a pytree: ``output[0]['logits']``, ``args[1].mask``."""
    for path, leaf in pytree.tree_flatten_with_path(tree)[0]:
        yield root + pytree.keystr(path), leaf


def input_leaves(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Places and leaves of the arguments of a call."""
    yield from named_leaves(args, "args")
    yield from named_leaves(dict(kwargs), "kwargs")
