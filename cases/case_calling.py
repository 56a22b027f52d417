"""Calling conventions and containers (B01 to B29)."""

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
    """B01: a list argument."""

    def forward(self, xs):
        return xs[0] + xs[1]


@export_case(args=lambda: ({"a": [torch.randn(4, 3), (torch.randn(4, 3),)], "b": torch.randn(3)},))
class NestedArgument(torch.nn.Module):
    """B02: nested list, tuple and dict arguments. B03: a dict output that holds a tuple."""

    def forward(self, tree):
        first, (second,) = tree["a"]
        return {"sum": first + second, "pair": (first * tree["b"], second - tree["b"])}


@export_case(args=lambda: (torch.randn(4, 3),), kwargs=lambda: {"scale": torch.randn(3), "shift": torch.randn(3)})
class KeywordArguments(torch.nn.Module):
    """B04: keyword arguments. B08: keyword-only. B06: a default that is not given."""

    def forward(self, x, *, scale, shift, power=2):
        return (x * scale + shift) ** power


@export_case(args=lambda: (torch.randn(3), torch.randn(3), torch.randn(3)), kwargs=lambda: {"last": torch.randn(3)})
class VariadicArguments(torch.nn.Module):
    """B07: ``*args``. B09: ``**kwargs``."""

    def forward(self, *args, **kwargs):
        return sum(args) * kwargs["last"]


@export_case()
class NoInputs(torch.nn.Module):
    """B12: no inputs at all."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(3))

    def forward(self):
        return self.weight * 2


@export_case(random=True)
class RandomOutput(torch.nn.Module):
    """B13: no inputs and a random output: shape and dtype are compared, not values."""

    def forward(self):
        return torch.rand(3, 4)


@export_case(args=lambda: (torch.randn(4, 3), None, None))
class NoneArguments(torch.nn.Module):
    """B14: an unused None input. B15: a None input that is returned. B16: None and int among the outputs."""

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
    """B18: a dataclass input and output (registered)."""

    def forward(self, box):
        return Box(box.value * box.weight, box.weight + 1)


Pair = namedtuple("Pair", ["left", "right"])
torch.utils._pytree._register_namedtuple(Pair, serialized_type_name="exportcheck.cases.Pair")


@export_case(args=lambda: (Pair(torch.randn(4, 3), torch.randn(4, 3)),))
class NamedtupleArgument(torch.nn.Module):
    """B20: a namedtuple in and out."""

    def forward(self, pair):
        return Pair(pair.left + pair.right, pair.left - pair.right)


@export_case(
    args=lambda: (torch.randn(4, 3), torch.randn(6)),
    dynamic_shapes=lambda: {"x": {0: batch}, "unused": {0: Dim("other", min=1, max=32)}},
)
class UnusedInput(torch.nn.Module):
    """B22: an unused input keeps its declared dynamism."""

    def forward(self, x, unused):
        return x.relu()


@export_case(args=lambda: (torch.randn(4, 3), torch.randn(4, 3)))
class SameOutputTwice(torch.nn.Module):
    """B28: an input is returned unchanged. B29: the same output twice."""

    def forward(self, x, y):
        z = x + y
        return z, z, x
