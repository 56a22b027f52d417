"""Modules of plain functions, and tensors for examples."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch

from tests.sized.sized import Build


class _Function(torch.nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function


class _One(_Function):
    def forward(self, x: Any) -> Any:
        return self.function(x)


class _Two(_Function):
    def forward(self, x: Any, y: Any) -> Any:
        return self.function(x, y)


class _Three(_Function):
    def forward(self, x: Any, y: Any, z: Any) -> Any:
        return self.function(x, y, z)


def of(function: Callable[..., Any]) -> Build:
    """What builds a module that applies a function of one to three arguments: ``x``, ``y`` and ``z``."""
    kind = (_One, _Two, _Three)[len(inspect.signature(function).parameters) - 1]
    return lambda: kind(function)


def floats(*shape: int) -> torch.Tensor:
    return torch.linspace(-1.0, 1.0, max(1, torch.Size(shape).numel())).reshape(shape)


def indices(*shape: int, below: int) -> torch.Tensor:
    """Whole numbers from zero on, all of those below a number among them if there is room."""
    return (torch.arange(torch.Size(shape).numel()) % below).reshape(shape)
