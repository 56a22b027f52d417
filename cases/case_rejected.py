"""Inputs and models that must be refused."""

from __future__ import annotations

import torch
from torch.export import Dim

from pytest_exportcheck import export_case, rejection


@export_case(
    args=lambda: (torch.randn(4, 3), 3),
    rejects=[
        rejection("call", kind="guard", args=lambda: (torch.randn(4, 3), 4)),
        rejection("call", kind="input", args=lambda: (torch.randn(4, 3),)),
        rejection("call", kind="input", args=lambda: ([torch.randn(4, 3)], 3)),
    ],
)
class ScalarInput(torch.nn.Module):
    """Another value of a scalar, another number of inputs, and another structure are refused."""

    def forward(self, x: torch.Tensor, n: int) -> torch.Tensor:
        return x + n


@export_case(
    args=lambda: (torch.randn(4, 3),),
    dynamic_shapes=({0: Dim("batch", min=5, max=9)},),
    rejects=[rejection("capture", kind="constraint", error=r"4 not in range \[5, 9\]")],
)
class OutsideItsRange(torch.nn.Module):
    """An example outside its declared range."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1


@export_case(
    args=lambda: (torch.randn(4, 3), torch.randn(4, 3)),
    dynamic_shapes=({0: Dim("a")}, {0: Dim("b")}),
    rejects=[rejection("capture", kind="constraint", error="must always be equal")],
)
class TiedDims(torch.nn.Module):
    """Dims declared independent that the model ties."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x + y


@export_case(
    args=lambda: (torch.randn(4, 3),),
    dynamic_shapes=({0: Dim("batch")},),
    rejects=[rejection("capture", kind="constraint", error=r"specialized it to be a constant \(4\)")],
)
class SpecialisedDim(torch.nn.Module):
    """A dim that must specialise."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.ones(4, 1)


@export_case(
    args=lambda: (torch.randn(4, 3), torch.randn(4, 3)),
    dynamic_shapes=({0: Dim("b", max=9)}, {0: Dim("b", max=10)}),
    rejects=[rejection("capture", kind="constraint", error="different definitions")],
)
class TwoDefinitions(torch.nn.Module):
    """Two definitions of one name."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x.sum() + y.sum()


@export_case(
    args=lambda: (torch.randn(4, 3), torch.randn(4, 3)),
    dynamic_shapes=({0: (shared := Dim("shared", min=3, max=9))}, {0: shared}),
    rejects=[
        rejection("call", kind="guard", args=lambda: (torch.randn(20, 3), torch.randn(20, 3))),
        rejection("call", kind="guard", args=lambda: (torch.randn(4, 3), torch.randn(5, 3))),
        rejection("call", kind="guard", args=lambda: (torch.randn(4, 4), torch.randn(4, 4))),
    ],
)
class SharedDim(torch.nn.Module):
    """A size outside the range, and sizes that break the equality of a shared dim, are refused."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x + y


@export_case(
    args=lambda: (torch.randn(4, 3),),
    dynamic_shapes=({0: 2 * Dim("half", max=9)},),
    rejects=[rejection("call", kind="guard", args=lambda: (torch.randn(5, 3),))],
)
class Divisible(torch.nn.Module):
    """An odd size is refused."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(-1, 2)


@export_case(args=lambda: (torch.randn(4, 3),), rejects=[rejection("capture", kind="data_dependent")])
class BranchOnData(torch.nn.Module):
    """A branch on data."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1 if x.sum().item() > 0 else x


@export_case(args=lambda: (torch.tensor([7]),), rejects=[rejection("capture")])
class ContradictoryChecks(torch.nn.Module):
    """Checks that contradict each other."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n = x.sum().item()
        torch._check(n > 5)
        torch._check(n < 3)
        return torch.zeros(n)  # type: ignore[arg-type]  # item() of an integer tensor is an int


@export_case(
    args=lambda: (torch.tensor([int(torch.randint(2, 20, ()))]),),
    rejects=[rejection("call", kind="guard", args=(torch.tensor([50]),))],
)
class ValueOutside(torch.nn.Module):
    """A value outside the checks is refused at the call."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n = x.sum().item()
        torch._check(n >= 0)
        torch._check(n < 30)
        return torch.zeros(n)  # type: ignore[arg-type]  # item() of an integer tensor is an int
