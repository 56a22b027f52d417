"""Python's own functions on numbers, while the model is traced: they request the values of symbols and of tensors."""

from __future__ import annotations

import builtins
import functools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

_Binary = Callable[[Any, Any], Any]


@contextmanager
def numbers_as_symbols() -> Iterator[None]:
    """Keep ``max``, ``min`` and ``math.pow`` symbolic inside the context, and make operators of ``max`` and ``min`` of
    tensors.
    """
    saved = builtins.max, builtins.min, math.pow
    builtins.max = _extremum(saved[0], torch.sym_max, torch.maximum, "min")
    builtins.min = _extremum(saved[1], torch.sym_min, torch.minimum, "max")
    math.pow = _power(saved[2])
    try:
        yield
    finally:
        builtins.max, builtins.min, math.pow = saved


def _extremum(original: Callable[..., Any], symbolic: _Binary, tensorial: _Binary, bound: str) -> Callable[..., Any]:
    def of_two(left: Any, right: Any) -> Any:
        if not isinstance(left, torch.Tensor):
            left, right = right, left
        if not isinstance(left, torch.Tensor):
            return symbolic(right, left) if _is_symbolic(left, right) else original(right, left)
        if isinstance(right, torch.Tensor):
            return tensorial(left, right)
        return original(left, right) if _is_symbolic(right) else torch.clamp(left, **{bound: right})

    def extremum(*args: Any, **kwargs: Any) -> Any:
        values = list(args[0]) if len(args) == 1 and isinstance(args[0], (list, tuple)) else list(args)
        known = all(isinstance(each, (int, float, torch.SymInt, torch.SymFloat, torch.Tensor)) for each in values)
        if len(values) > 1 and not kwargs and known and any(not isinstance(each, (int, float)) for each in values):
            return functools.reduce(of_two, values)
        return original(*args, **kwargs)

    return extremum


def _power(original: Callable[..., float]) -> Callable[..., Any]:
    def power(base: Any, exponent: Any) -> Any:
        return base**exponent if _is_symbolic(base, exponent) else original(base, exponent)

    return power


def _is_symbolic(*values: Any) -> bool:
    return any(isinstance(each, (torch.SymInt, torch.SymFloat)) for each in values)
