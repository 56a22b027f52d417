"""Facts of one tensor: type, shape, dtype, device, layout, stride and gradient flags."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

from pytest_exportcheck.harness._torch import DisableTorchFunctionSubclass
from pytest_exportcheck.records import TensorFacts

_P = ParamSpec("_P")
_T = TypeVar("_T")

#: Errors of a tensor kind that has no kernel for an operation, or does not support a question.
UNREADABLE = (NotImplementedError, RuntimeError, TypeError, AttributeError, ValueError, AssertionError)

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
