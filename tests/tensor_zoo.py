"""Tensors of every kind that a model may hold or take: each entry of ``ZOO`` makes one, deterministically."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.testing._internal.two_tensor import TwoTensor


class Named(torch.Tensor):
    """A subclass that only has a name of its own."""


class Loud(torch.Tensor):
    """A subclass that answers every torch function with an error: nothing may be asked of it as such."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in ("__get__", "detach", "clone", "__repr__"):
            return super().__torch_function__(func, types, args, kwargs or {})
        raise TypeError(f"Loud refuses {func}")


class Sealed(torch.Tensor):
    """A wrapper that does not say what it wraps, and knows detach and clone only."""

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Any:
        made = torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)
        made.inner = inner  # type: ignore[assignment]  # the product, Tensor.inner, otherwise
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]  # Tensor has a disabled one
        if func in (torch.ops.aten.detach.default, torch.ops.aten.clone.default):
            return Sealed(func(args[0].inner))
        raise NotImplementedError(f"Sealed knows nothing of {func}")


class Scaled(torch.Tensor):
    """A weight in int8 with a scale, as quantisers make them; knows detach and clone, and refuses views."""

    @staticmethod
    def __new__(cls, data: torch.Tensor, scale: torch.Tensor, _dtype: torch.dtype = torch.float32) -> Any:
        return torch.Tensor._make_wrapper_subclass(cls, data.shape, dtype=_dtype)

    def __init__(self, data: torch.Tensor, scale: torch.Tensor, _dtype: torch.dtype = torch.float32) -> None:
        self.data_, self.scale = data, scale

    def __tensor_flatten__(self) -> Any:
        return ["data_", "scale"], {"dtype": self.dtype}

    @staticmethod
    def __tensor_unflatten__(inner: Any, context: Any, size: Any, stride: Any) -> Any:
        return Scaled(inner["data_"], inner["scale"], context["dtype"])

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]  # mypy drops the name
        return f"Scaled({tuple(self.shape)})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]  # Tensor has a disabled one
        if func in (torch.ops.aten.detach.default, torch.ops.aten.clone.default):
            return Scaled(func(args[0].data_), func(args[0].scale), args[0].dtype)
        raise NotImplementedError(f"Scaled has no kernel for {func}")


def _values(*shape: int) -> torch.Tensor:
    count = 1
    for size in shape:
        count *= size
    return (torch.arange(count, dtype=torch.float32) * 0.37 - 1.3).reshape(shape)


def _emptied() -> torch.Tensor:
    """A tensor whose storage was given back, as sharding wrappers leave parameters."""
    tensor = _values(4)
    tensor.untyped_storage().resize_(0)
    return tensor


def _inference() -> torch.Tensor:
    with torch.inference_mode():
        return _values(2, 3)


def _fake() -> torch.Tensor:
    from torch._subclasses.fake_tensor import FakeTensorMode

    return FakeTensorMode().from_tensor(_values(2, 3))


def _functional() -> torch.Tensor:
    from torch._subclasses.functional_tensor import FunctionalTensor, FunctionalTensorMode

    with FunctionalTensorMode():
        return FunctionalTensor.to_functional(_values(2, 3))


def _masked() -> torch.Tensor:
    from torch.masked import masked_tensor

    tensor: torch.Tensor = masked_tensor(_values(3), torch.tensor([True, False, True]))
    return tensor


def _non_leaf() -> torch.Tensor:
    return _values(4).requires_grad_(True) * 2


def _non_leaf_view() -> torch.Tensor:
    return (_values(3, 4).requires_grad_(True) * 2)[1:]


def _bits(dtype: torch.dtype) -> torch.Tensor:
    return torch.arange(6, dtype=torch.uint8).view(dtype)


ZOO: Mapping[str, Callable[[], torch.Tensor]] = {
    "plain": lambda: _values(2, 3),
    "unaligned": lambda: _values(9)[1:5],
    "unaligned bytes": lambda: torch.arange(40, dtype=torch.uint8)[3:36],
    "strided": lambda: _values(2, 6)[:, ::2],
    "transposed": lambda: _values(6, 4).t(),
    "permuted": lambda: _values(2, 3, 4).permute(2, 0, 1),
    "expanded": lambda: _values(1, 3).expand(2, 3),
    "expanded scalar": lambda: _values(1)[0].expand(3),
    "overlapping": lambda: _values(6).as_strided((4, 3), (1, 1)),
    "channels_last": lambda: _values(2, 3, 4, 4).to(memory_format=torch.channels_last),
    "channels_last_3d": lambda: _values(1, 2, 2, 2, 2).to(memory_format=torch.channels_last_3d),
    "scalar": lambda: _values(1)[0],
    "scalar view": lambda: _values(5)[3],
    "zero size": lambda: torch.empty(0, 3),
    "zero size strided": lambda: torch.empty(4, 0).t(),
    "one element": lambda: _values(3, 3)[1:2, 2:3],
    "nan and inf": lambda: torch.tensor([float("nan"), float("inf"), -0.0, 0.0]),
    "bool": lambda: torch.tensor([True, False, True]),
    "int8": lambda: torch.arange(-3, 3, dtype=torch.int8),
    "int64": lambda: torch.arange(6).reshape(2, 3),
    "uint16": lambda: torch.arange(6).to(torch.uint16),
    "uint32": lambda: torch.arange(6).to(torch.uint32),
    "uint64": lambda: torch.arange(6).to(torch.uint64),
    "float16": lambda: _values(5).half()[1:],
    "bfloat16": lambda: _values(5).bfloat16()[1:],
    "float64": lambda: _values(5).double(),
    "float8_e4m3fn": lambda: _values(5).to(torch.float8_e4m3fn)[1:],
    "float8_e5m2": lambda: _values(5).to(torch.float8_e5m2),
    "float8_e8m0fnu": lambda: _values(5).abs().to(torch.float8_e8m0fnu),
    "float4 packed": lambda: _bits(torch.float4_e2m1fn_x2),
    "uint1": lambda: _bits(torch.uint1),  # type: ignore[attr-defined]  # not in the stubs
    "int4": lambda: _bits(torch.int4),  # type: ignore[attr-defined]  # not in the stubs
    "bits8": lambda: _bits(torch.bits8),
    "complex64": lambda: torch.complex(_values(4), _values(4) + 1),
    "complex128 strided": lambda: torch.complex(_values(8).double(), _values(8).double())[::2],
    "complex32": lambda: torch.complex(_values(4), _values(4)).to(torch.complex32),
    "conjugate": lambda: torch.complex(_values(4), _values(4) + 1).conj(),
    "negative": lambda: torch.complex(_values(4), _values(4) + 1).conj().imag,
    "meta": lambda: torch.empty(2, 3, device="meta"),
    "sparse": lambda: _values(3, 3).relu().to_sparse(),
    "sparse uncoalesced": lambda: torch.sparse_coo_tensor([[0, 0, 1]], [1.0, 2.0, 3.0], (3,)),  # type: ignore[arg-type]  # takes lists too
    "sparse hybrid": lambda: torch.sparse_coo_tensor([[0, 2]], _values(2, 2), (3, 2)),  # type: ignore[arg-type]  # takes lists too
    "sparse bool": lambda: torch.tensor([[True, False], [False, True]]).to_sparse(),
    "sparse csr": lambda: _values(3, 3).relu().to_sparse_csr(),
    "sparse csc": lambda: _values(3, 3).relu().to_sparse_csc(),
    "sparse bsr": lambda: _values(4, 4).relu().to_sparse_bsr((2, 2)),
    "sparse bsc": lambda: _values(4, 4).relu().to_sparse_bsc((2, 2)),
    "quantized": lambda: torch.quantize_per_tensor(_values(2, 3), 0.1, 3, torch.qint8),
    "quantized per channel": lambda: torch.quantize_per_channel(
        _values(2, 3), torch.tensor([0.1, 0.2]), torch.tensor([0, 1]), 0, torch.quint8
    ),
    "mkldnn": lambda: _values(2, 3).to_mkldnn(),
    "nested": lambda: torch.nested.nested_tensor([_values(2, 3), _values(1, 3)]),
    "nested jagged": lambda: torch.nested.nested_tensor([_values(2, 3), _values(1, 3)], layout=torch.jagged),
    "two tensor": lambda: TwoTensor(_values(2, 3), _values(2, 3) + 1),
    "two tensors within": lambda: TwoTensor(TwoTensor(_values(3), _values(3)), TwoTensor(_values(3), _values(3) + 2)),
    "two tensor parameter": lambda: torch.nn.Parameter(TwoTensor(_values(2, 3), _values(2, 3) + 1)),
    "scaled": lambda: Scaled(torch.arange(6, dtype=torch.int8).reshape(2, 3), _values(2, 1)),
    "scaled parameter": lambda: torch.nn.Parameter(
        Scaled(torch.arange(6, dtype=torch.int8).reshape(2, 3), _values(2, 1)), requires_grad=False
    ),
    "sealed": lambda: Sealed(_values(2, 3)),
    "named": lambda: _values(2, 3).as_subclass(Named),
    "loud": lambda: _values(2, 3).as_subclass(Loud),
    "masked": _masked,
    "parameter": lambda: torch.nn.Parameter(_values(2, 3)),
    "frozen parameter": lambda: torch.nn.Parameter(_values(2, 3), requires_grad=False),
    "strided parameter": lambda: torch.nn.Parameter(_values(4, 3).t()),
    "leaf": lambda: _values(3).requires_grad_(True),
    "non-leaf": _non_leaf,
    "non-leaf view": _non_leaf_view,
    "inference": _inference,
    "fake": _fake,
    "functional": _functional,
    "storage given back": _emptied,
}

#: Tensors without values to read: tracing tensors, and those whose memory is not there or not shown.
WITHOUT_VALUES = frozenset({"meta", "fake", "functional", "storage given back", "sealed"})
