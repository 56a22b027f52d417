"""Dynamic shapes."""

import torch
from torch.export import Dim

from pytest_exportcheck import export_case

batch = Dim("batch", min=1, max=32)


def rows(low, high):
    """A random number of rows, another one for every draw."""
    return int(torch.randint(low, high + 1, ()))


def two_of_one_size():
    size = rows(2, 8)
    return torch.randn(size, 3), torch.randn(size, 3)


@export_case(args=two_of_one_size, dynamic_shapes=lambda: {"x": {0: batch}, "y": {0: batch}})
class SharedDim(torch.nn.Module):
    """A named dim with a range, shared by two inputs."""

    def forward(self, x, y):
        return x + y


@export_case(args=lambda: (torch.randn(rows(3, 9), 4),), dynamic_shapes=lambda: {"x": {0: Dim.AUTO, 1: Dim.STATIC}})
class AutomaticDim(torch.nn.Module):
    """``Dim.AUTO`` and ``Dim.STATIC`` in a spec."""

    def forward(self, x):
        return x.softmax(-1)


def neighbours():
    size = rows(3, 9)
    return torch.randn(size), torch.randn(size + 1)


length = Dim("length", min=3, max=30)


@export_case(args=neighbours, dynamic_shapes=lambda: {"x": {0: length}, "y": {0: length + 1}})
class DerivedDim(torch.nn.Module):
    """A derived dim, ``d + 1``."""

    def forward(self, x, y):
        return x + y[1:]


@export_case(args=lambda: (torch.randn(2 * rows(2, 8), 3),), dynamic_shapes=lambda: {"x": {0: 2 * Dim("half", max=16)}})
class EvenDim(torch.nn.Module):
    """A derived dim, ``2 * d``."""

    def forward(self, x):
        return x.reshape(-1, 2, 3).sum(1)


@export_case(args=lambda: (torch.randn(rows(4, 9), 3),), dynamic_shapes=lambda: {"x": {0: Dim("n", min=4, max=20)}})
class BranchOnShape(torch.nn.Module):
    """A branch on a dynamic shape that goes one way in the whole range."""

    def forward(self, x):
        return x.sin() if x.shape[0] > 3 else x.cos()


@export_case(args=lambda: (torch.randn(rows(2, 8), 3, 4),), dynamic_shapes=lambda: {"x": {0: batch}})
class ViewWithDynamicBatch(torch.nn.Module):
    """``view(-1, ...)`` with a dynamic leading dim."""

    def forward(self, x):
        return x.view(-1, 12)


@export_case(args=lambda: (torch.randn(rows(2, 8), 3, 8, 8),), dynamic_shapes=lambda: {"x": {0: batch}})
class ConvolutionAndPool(torch.nn.Module):
    """Convolution and pooling with a dynamic batch, checked at other batches."""

    def __init__(self):
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return torch.nn.functional.max_pool2d(self.convolution(x), 2).flatten(1)


@export_case(args=lambda: (torch.randn(rows(2, 8), 3),), dynamic_shapes=lambda: {"x": {0: batch}})
class ShapesReturned(torch.nn.Module):
    """A shape and arithmetic on shapes, returned as outputs."""

    def forward(self, x):
        return x + 1, x.shape[0], x.shape[0] * 2 + 1
