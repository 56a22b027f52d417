"""A module that calls a function."""

from __future__ import annotations

import torch


class Calls(torch.nn.Module):
    """``forward`` is a function; a buffer, a tensor and a list to do something with."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.register_buffer("buffer", torch.zeros(2))
        self.tensor, self.number, self.numbers = torch.ones(2), 0, [torch.ones(2)]

    def forward(self, *args):
        return self.function(self, *args)


def asserts(_, x):
    """Assert something about the values of a tensor. In a test file, pytest would rewrite the statement."""
    y = x + 1
    assert y.max().item() > 0
    return y
