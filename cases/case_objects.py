"""Objects that operators take."""

import torch

from pytest_exportcheck import expect_failure, export_case


@export_case(
    args=lambda: (torch.randn(4),),
    expect=[expect_failure("strict", check="stage", reason="Dynamo does not trace generators")],
)
class GeneratorHeld(torch.nn.Module):
    """A generator of random numbers as an attribute: two calls draw different numbers, and a program keeps its state."""

    def __init__(self):
        super().__init__()
        self.generator = torch.Generator().manual_seed(3)

    def forward(self, x):
        return x + torch.rand(4, generator=self.generator)
