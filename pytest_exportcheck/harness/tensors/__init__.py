"""Facts, copies and comparisons of one tensor, of any kind.

The functions here do not raise for a tensor that a model may hold or take, do not write to it, and do not use more of a
tensor subclass than its own class offers. A tensor is read by its *parts*: plain strided tensors that together hold its
elements. A wrapper subclass has the tensors that it wraps, a sparse tensor its indices and values, a nested tensor its
components. A tensor without parts (:func:`has_values` is false) is compared by its facts only.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterator, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch

from pytest_exportcheck.errors import InputsRefused
from pytest_exportcheck.harness._torch import (
    DisableTorchFunctionSubclass,
    FakeTensor,
    FunctionalTensor,
    coo_parts,
    pytree,
)
from pytest_exportcheck.records import Leaf, TensorFacts

_P = ParamSpec("_P")
_T = TypeVar("_T")

#: Errors of a tensor kind that has no kernel for an operation, or does not support a question.
UNREADABLE = (NotImplementedError, RuntimeError, TypeError, AttributeError, ValueError, AssertionError)

_COMPRESSED: Mapping[torch.layout, tuple[str, str]] = {
    torch.sparse_csr: ("crow_indices", "col_indices"),
    torch.sparse_bsr: ("crow_indices", "col_indices"),
    torch.sparse_csc: ("ccol_indices", "row_indices"),
    torch.sparse_bsc: ("ccol_indices", "row_indices"),
}


#: Classes of tensors that do not define their own answers.
_ORDINARY = frozenset({torch.Tensor, torch.nn.Parameter})


def as_plain(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Keep ``__torch_function__`` of tensor subclasses out of a function: questions are about the tensor, not its
    class.
    """

    @wraps(function)
    def plain(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        if all(type(each) in _ORDINARY for each in args):
            return function(*args, **kwargs)
        with DisableTorchFunctionSubclass():
            return function(*args, **kwargs)

    return plain


# --- facts ----------------------------------------------------------------------------------


@as_plain
def facts_of(tensor: torch.Tensor) -> TensorFacts:
    """Return type, shape, dtype, device, layout, stride and gradient flags of a tensor."""
    return TensorFacts(
        type=type(tensor).__name__,
        shape=tuple(tensor.shape) if not tensor.is_nested else (),
        dtype=str(tensor.dtype).removeprefix("torch."),
        device=str(tensor.device),
        layout=str(tensor.layout).removeprefix("torch."),
        stride=tuple(tensor.stride()) if is_strided(tensor) else None,
        requires_grad=tensor.requires_grad,
        has_grad_fn=tensor.grad_fn is not None,
    )


@as_plain
def is_strided(tensor: torch.Tensor) -> bool:
    """Return True if a tensor has a shape and strides that can be asked for."""
    return tensor.layout is torch.strided and not tensor.is_nested


def leaf_of(place: str, value: Any, *, clone: bool = True) -> Leaf:
    """Return a leaf of a pytree as it is now: a tensor with its facts, and in a new storage unless ``clone`` is
    False.
    """
    if not isinstance(value, torch.Tensor):
        return Leaf(place, value)
    return Leaf(place, detached_clone(value) if clone else value, facts_of(value))


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


# --- parts ----------------------------------------------------------------------------------


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
    return not _is_opaque(tensor) and not _is_emptied(tensor)


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
        yield name, _dense(tensor)


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
def _is_emptied(tensor: torch.Tensor) -> bool:
    """Return True if the storage is smaller than the tensor needs, as sharding wrappers leave parameters."""
    if not is_strided(tensor) or tensor.numel() == 0:
        return False
    try:
        return tensor.untyped_storage().nbytes() < (tensor.storage_offset() + extent(tensor)) * tensor.element_size()
    except UNREADABLE:  # an opaque layout has no storage
        return False


def extent(tensor: torch.Tensor) -> int:
    """Return how many elements of its storage a strided tensor spans, from its first to its last."""
    if tensor.numel() == 0:
        return 0
    return 1 + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))


def _dense(tensor: torch.Tensor) -> torch.Tensor:
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


# --- copies ---------------------------------------------------------------------------------


def detached_clone(tensor: torch.Tensor) -> torch.Tensor:
    """Return the values of a tensor in a new storage; return a tensor that cannot be cloned, such as a tracing tensor,
    unchanged.
    """
    if isinstance(tensor, FunctionalTensor) or _is_emptied(tensor):
        return tensor
    with torch.no_grad():
        for clone in (_clone, as_plain(_clone), as_plain(_clone_bytes), as_plain(_clone_wrapped)):
            try:
                return clone(tensor)
            except UNREADABLE:
                continue
    return tensor


def _clone(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().clone()


def _clone_bytes(tensor: torch.Tensor) -> torch.Tensor:
    """Clone packed dtypes, which have no kernel to copy."""
    return tensor.detach().view(torch.uint8).clone().view(tensor.dtype)


def _clone_wrapped(tensor: torch.Tensor) -> torch.Tensor:
    """Clone a wrapper subclass whose class does not clone."""
    names, context = tensor.__tensor_flatten__()  # type: ignore[attr-defined]
    inner = {name: detached_clone(getattr(tensor, name)) for name in names}
    clone: torch.Tensor = type(tensor).__tensor_unflatten__(inner, context, tensor.shape, tensor.stride())  # type: ignore[attr-defined]
    return clone


def copy_tree(tree: Any) -> Any:
    """Return a copy of a pytree of inputs; tensors that shared storage share it in the copy too, strides are kept.

    Leaves that cannot be copied are returned unchanged.
    """
    memo: dict[int, Any] = {}
    for leaf in _tensors_in(tree):
        if id(leaf) not in memo:
            memo[id(leaf)] = copied(leaf, memo)
    try:
        return copy.deepcopy(tree, memo)
    except Exception:  # an object among the inputs refuses, in its own words
        return pytree.tree_map(lambda leaf: _copied_leaf(leaf, memo), tree)


def copied(tensor: torch.Tensor, memo: dict[int, Any]) -> torch.Tensor:
    """Return a copy with the strides of a tensor, as a leaf; tensors that share storage share it in copies of one
    ``memo``.
    """
    if isinstance(tensor, (FakeTensor, FunctionalTensor)) or _is_emptied(tensor):
        return tensor
    try:
        copy_of: torch.Tensor = copy.deepcopy(tensor if tensor.is_leaf else tensor.detach(), memo)
    except Exception:  # a subclass may raise anything
        copy_of = detached_clone(tensor)
    if _is_negative(tensor):  # deepcopy carries the negation out, and forgets the strides
        copy_of = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=tensor.device)
        copy_of.copy_(tensor.detach())
    if copy_of.requires_grad != tensor.requires_grad:
        set_requires_grad(copy_of, tensor.requires_grad)
    return copy_of


@as_plain
def _is_negative(tensor: torch.Tensor) -> bool:
    return tensor.is_neg()


@as_plain
def set_requires_grad(tensor: torch.Tensor, requires_grad: bool) -> None:
    """Set the flag of a leaf."""
    tensor.requires_grad_(requires_grad)


def _tensors_in(tree: Any) -> list[torch.Tensor]:
    """Return the tensors among the leaves of a pytree; none where a class of the user's cannot be taken apart."""
    try:
        return [leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, torch.Tensor)]
    except Exception:
        return []


def _copied_leaf(leaf: Any, memo: Mapping[int, Any]) -> Any:
    if id(leaf) in memo:
        return memo[id(leaf)]
    try:
        return copy.deepcopy(leaf)
    except Exception:
        return leaf


# --- comparing ------------------------------------------------------------------------------


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
    left, right = _dense(one), _dense(other)
    if _same_bytes(as_bytes(left), as_bytes(right)):
        return torch.empty(0, dtype=torch.int64)
    return _differs(left, right).reshape(-1).nonzero().reshape(-1)


@as_plain
def as_bytes(tensor: torch.Tensor) -> torch.Tensor:
    """Return the bytes of the elements of a part in order: uint8, 1-D (bool for a bool tensor), from the start of a
    word.
    """
    tensor = _dense(tensor)
    if tensor.storage_offset() * tensor.element_size() % 8:
        tensor = _dense(detached_clone(tensor))
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


# --- pytrees --------------------------------------------------------------------------------


def named_leaves(tree: Any, root: str) -> Iterator[tuple[str, Any]]:
    """Yield places and leaves of a pytree: ``output[0]['logits']``, ``args[1].mask``."""
    try:
        leaves = pytree.tree_flatten_with_path(tree)[0]
    except ValueError:  # a class that was registered without names for its children
        yield from ((f"{root}<{number}>", leaf) for number, leaf in enumerate(pytree.tree_leaves(tree)))
        return
    for path, leaf in leaves:
        yield root + pytree.keystr(path), leaf


def mapped(change: Callable[[Any, Any], Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Rebuild the arguments of a call with ``change(path, leaf)`` in place of every leaf.

    Raises
    ------
    InputsRefused
        When a class among the arguments refuses the new leaves.
    """
    leaves, spec = pytree.tree_flatten_with_path((tuple(args), dict(kwargs)))
    made = [change(path, leaf) for path, leaf in leaves]
    try:
        return pytree.tree_unflatten(made, spec)
    except Exception as error:
        raise InputsRefused(
            f"a class among the inputs refuses other sizes: {type(error).__name__}: {error}. "
            "Declare the dims that depend on each other in dynamic_shapes, or give the case inputs= to make its inputs."
        ) from error


def input_leaves(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield places and leaves of the arguments of a call."""
    yield from named_leaves(args, "args")
    yield from named_leaves(dict(kwargs), "kwargs")
