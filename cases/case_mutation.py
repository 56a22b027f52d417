"""Mutation and state."""

import torch
from torch.export import Dim

from pytest_exportcheck import export_case

batch = Dim("batch", min=1, max=32)


@export_case(args=lambda: (torch.randn(4, 3),), dynamic_shapes=lambda: {"x": {0: batch}})
class InputMutated(torch.nn.Module):
    """An input mutated in place, with a dynamic dim, and through a view."""

    def forward(self, x):
        x[0].mul_(2)
        x.add_(1)
        return x * 2


@export_case(args=lambda: ([torch.randn(4), torch.randn(4)],))
class InputInContainerMutated(torch.nn.Module):
    """An input inside a container, mutated by slice assignment."""

    def forward(self, xs):
        xs[0][1:3] = 0
        return xs[0] + xs[1]


@export_case(args=lambda: (torch.randn(4, 3),))
class BufferMutated(torch.nn.Module):
    """A buffer and an input mutated; the buffer keeps its state over two calls."""

    def __init__(self):
        super().__init__()
        self.register_buffer("total", torch.zeros(3))

    def forward(self, x):
        self.total.add_(x.sum(0))
        x.mul_(2)
        return x + self.total


class Counter(torch.nn.Module):
    calls: torch.Tensor

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, x):
        self.calls += 1
        return x + self.calls


@export_case(args=lambda: (torch.randn(4, 3),))
class NestedBuffers(torch.nn.Module):
    """Several buffers in nested modules; a child's buffer is updated after the child ran."""

    def __init__(self):
        super().__init__()
        self.first = Counter()
        self.second = torch.nn.Sequential(Counter(), Counter())

    def forward(self, x):
        y = self.second(self.first(x))
        self.first.calls.mul_(3)
        return y


@export_case(args=lambda: (torch.randn(8, 3, 4, 4),), train=True)
@export_case(args=lambda: (torch.randn(8, 3, 4, 4),), name="BatchNormInEval")
class BatchNormInTraining(torch.nn.Module):
    """Batch norm in training and in eval."""

    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm2d(3)

    def forward(self, x):
        return self.norm(x)


@export_case(args=lambda: (torch.randn(4, 3),))
class LayerUsedTwice(torch.nn.Module):
    """One layer used twice."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 3)

    def forward(self, x):
        return self.layer(self.layer(x).relu())


@export_case(args=lambda: (torch.randint(0, 10, (2, 5)),))
class TiedWeights(torch.nn.Module):
    """Tied weights, as language models tie their embedding and their output layer."""

    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(10, 4)
        self.head = torch.nn.Linear(4, 10, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens):
        return self.head(self.embed(tokens))


@export_case(args=lambda: (torch.randn(4, 3),))
class NonPersistentBuffer(torch.nn.Module):
    """A non-persistent buffer, a tensor attribute as constant, and a tensor made in forward."""

    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.randn(3), persistent=False)
        self.shift = torch.randn(3)

    def forward(self, x):
        return x * self.scale + self.shift + torch.tensor([1.0, 2.0, 3.0])


@export_case(args=lambda: (torch.randn(3, requires_grad=True),))
class GradientFlags(torch.nn.Module):
    """``requires_grad`` of parameters and inputs is kept."""

    def __init__(self):
        super().__init__()
        self.trained = torch.nn.Parameter(torch.randn(3))
        self.frozen = torch.nn.Parameter(torch.randn(3), requires_grad=False)

    def forward(self, x):
        return x * self.trained + self.frozen
