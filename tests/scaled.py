"""A quantised weight as torchao makes them: a tensor subclass that wraps integers and a scale."""

from __future__ import annotations

from typing import cast

import torch
import torch.utils._pytree as pytree
from torch import nn

_SAME = (torch.ops.aten.detach.default, torch.ops.aten.clone.default, torch.ops.aten.alias.default)


class Scaled(torch.Tensor):
    """``numbers * scale``; a linear layer computes with it and returns a plain tensor."""

    numbers: torch.Tensor
    scale: torch.Tensor

    @staticmethod
    def __new__(cls, numbers, scale):
        return torch.Tensor._make_wrapper_subclass(cls, numbers.shape, dtype=scale.dtype, strides=numbers.stride())

    def __init__(self, numbers, scale):
        self.numbers, self.scale = numbers, scale

    def plain(self):
        return self.numbers.to(self.scale.dtype) * self.scale

    def __tensor_flatten__(self):
        return ["numbers", "scale"], None

    @staticmethod
    def __tensor_unflatten__(inner, _context, _size, _stride):
        return Scaled(inner["numbers"], inner["scale"])

    @classmethod
    def __torch_function__(cls, function, _types, args=(), kwargs=None):
        if function is nn.functional.linear:
            return nn.functional.linear(args[0], args[1].plain(), *args[2:])
        with torch._C.DisableTorchFunctionSubclass():
            return function(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, function, _types, args=(), kwargs=None):  # type: ignore[override]  # Tensor has a disabled one
        if function in _SAME:
            return Scaled(function(args[0].numbers), function(args[0].scale))
        args, kwargs = pytree.tree_map_only(Scaled, Scaled.plain, (args, kwargs or {}))
        return function(*args, **kwargs)


torch.serialization.add_safe_globals([Scaled])


class Quantised(nn.Module):
    """Two layers, of which the second has a quantised weight."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 3)
        numbers = torch.randint(-9, 9, (3, 4), dtype=torch.int8)
        self.second.weight = nn.Parameter(Scaled(numbers, torch.rand(3, 1) + 0.1), requires_grad=False)

    def forward(self, x):
        return self.second(self.first(x).relu())


class Dynamic(Scaled):
    """Quantises what a linear layer is given, too, without gradients."""

    @staticmethod
    def __tensor_unflatten__(inner, _context, _size, _stride):
        return Dynamic(inner["numbers"], inner["scale"])

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function is not nn.functional.linear:
            return super().__torch_function__(function, types, args, kwargs)
        with torch.no_grad():
            scale = args[0].abs().amax() / 127 + 1e-6
            given = (args[0] / scale).round() * scale
        return nn.functional.linear(given, args[1].plain(), *args[2:])

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):  # type: ignore[override]  # Tensor has a disabled one
        made = super().__torch_dispatch__(function, types, args, kwargs)
        return Dynamic(made.numbers, made.scale) if isinstance(made, Scaled) else made


class QuantisedTwice(Quantised):
    """Weights and activations quantised."""

    def __init__(self):
        super().__init__()
        weight = cast(Scaled, self.second.weight)
        self.second.weight = nn.Parameter(Dynamic(weight.numbers, weight.scale), requires_grad=False)
