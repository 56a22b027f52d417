"""Control flow."""

import torch
from torch.export import Dim

from pytest_exportcheck import export_case


@export_case(args=lambda: (torch.randn(4, 3),))
class CondOnTensor(torch.nn.Module):
    """``cond`` on a tensor predicate. Fresh inputs may take the other branch."""

    def forward(self, x):
        return torch.cond(x[0, 0] > 0, lambda x: x.sin(), lambda x: x.cos(), (x,))


@export_case(
    args=lambda: (torch.randn(int(torch.randint(2, 9, ())), 3),),
    dynamic_shapes=lambda: {"x": {0: Dim("batch", min=2, max=16)}},
)
class CondOnShape(torch.nn.Module):
    """``cond`` on a shape."""

    def forward(self, x):
        return torch.cond(x.shape[0] > 4, lambda x: x + 1, lambda x: x - 1, (x,))


@export_case(args=lambda: (torch.randn(4, 3),))
class CondOverState(torch.nn.Module):
    """Branches that close over parameters and buffers."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 3)
        self.register_buffer("shift", torch.randn(3))

    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda x: self.layer(x), lambda x: x + self.shift, (x,))


@export_case(args=lambda: (torch.randn(4, 3),))
class NestedCond(torch.nn.Module):
    """A ``cond`` inside a branch of a ``cond``."""

    def forward(self, x):
        def positive(x):
            return torch.cond(x[0, 0] > 0, lambda x: x * 2, lambda x: x * 3, (x,))

        return torch.cond(x.sum() > 0, positive, lambda x: -x, (x,))


@export_case(args=lambda: (torch.randn(4, 3), torch.randn(3)))
class MapOverRows(torch.nn.Module):
    """``map`` over a leading dim."""

    def forward(self, xs, y):
        from torch._higher_order_ops.map import map as map_rows

        return map_rows(lambda x, y: x * y + 1, xs, y)


@export_case(args=lambda: (torch.tensor(5), torch.randn(3)))
class WhileLoop(torch.nn.Module):
    """``while_loop``."""

    def forward(self, steps, x):
        from torch._higher_order_ops.while_loop import while_loop

        return while_loop(lambda i, x: i > 0, lambda i, x: (i - 1, x * 1.5), (steps, x))


@export_case(args=lambda: (torch.zeros(3), torch.randn(4, 3)))
class Scan(torch.nn.Module):
    """``scan``."""

    def forward(self, start, xs):
        from torch._higher_order_ops.scan import scan

        return scan(lambda carry, x: (carry + x, carry * x), start, xs)
