"""Calling conventions and containers."""

from collections import namedtuple
from dataclasses import dataclass

import torch
from torch.export import Dim, register_dataclass

from pytest_exportcheck import export_case

batch = Dim("batch", min=1, max=32)


@export_case(
    args=lambda: ([torch.randn(4, 3), torch.randn(4, 3)],),
    dynamic_shapes=lambda: {"xs": [{0: batch}, {0: batch}]},
)
class ListArgument(torch.nn.Module):
    """A list argument."""

    def forward(self, xs):
        return xs[0] + xs[1]


@export_case(args=lambda: ({"a": [torch.randn(4, 3), (torch.randn(4, 3),)], "b": torch.randn(3)},))
class NestedArgument(torch.nn.Module):
    """Nested list, tuple and dict arguments, and a dict output that holds a tuple."""

    def forward(self, tree):
        first, (second,) = tree["a"]
        return {"sum": first + second, "pair": (first * tree["b"], second - tree["b"])}


@export_case(args=lambda: (torch.randn(4, 3),), kwargs=lambda: {"scale": torch.randn(3), "shift": torch.randn(3)})
class KeywordArguments(torch.nn.Module):
    """Keyword-only arguments, and a default that is not given."""

    def forward(self, x, *, scale, shift, power=2):
        return (x * scale + shift) ** power


@export_case(args=lambda: (torch.randn(3), torch.randn(3), torch.randn(3)), kwargs=lambda: {"last": torch.randn(3)})
class VariadicArguments(torch.nn.Module):
    """``*args`` and ``**kwargs``."""

    def forward(self, *args, **kwargs):
        return sum(args) * kwargs["last"]


@export_case()
class NoInputs(torch.nn.Module):
    """A model without inputs."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(3))

    def forward(self):
        return self.weight * 2


@export_case(random=True)
class RandomOutput(torch.nn.Module):
    """A model without inputs and with a random output: shape and dtype are compared, not values."""

    def forward(self):
        return torch.rand(3, 4)


@export_case(args=lambda: (torch.randn(4, 3), None, None))
class NoneArguments(torch.nn.Module):
    """An unused None input, a None input that is returned, and None and int among the outputs."""

    def forward(self, x, unused, returned):
        return x + 1, returned, 7, None


@dataclass
class Box:
    """A registered dataclass, in and out."""

    value: torch.Tensor
    weight: torch.Tensor


register_dataclass(Box, serialized_type_name="exportcheck.cases.Box")


@export_case(args=lambda: (Box(torch.randn(4, 3), torch.randn(3)),))
class DataclassArgument(torch.nn.Module):
    """A dataclass input and output (registered)."""

    def forward(self, box):
        return Box(box.value * box.weight, box.weight + 1)


Pair = namedtuple("Pair", ["left", "right"])
torch.utils._pytree._register_namedtuple(Pair, serialized_type_name="exportcheck.cases.Pair")


@export_case(args=lambda: (Pair(torch.randn(4, 3), torch.randn(4, 3)),))
class NamedtupleArgument(torch.nn.Module):
    """A namedtuple as input and output."""

    def forward(self, pair):
        return Pair(pair.left + pair.right, pair.left - pair.right)


@export_case(
    args=lambda: (torch.randn(4, 3), torch.randn(6)),
    dynamic_shapes=lambda: {"x": {0: batch}, "unused": {0: Dim("other", min=1, max=32)}},
)
class UnusedInput(torch.nn.Module):
    """An unused input keeps its declared dynamism."""

    def forward(self, x, unused):
        return x.relu()


@export_case(args=lambda: (torch.randn(4, 3), torch.randn(4, 3)))
class SameOutputTwice(torch.nn.Module):
    """An input that is returned unchanged, and an output that is returned twice."""

    def forward(self, x, y):
        z = x + y
        return z, z, x
