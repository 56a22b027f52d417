"""A module with state of every kind, and the names of what changed in it."""

from __future__ import annotations

import torch


class Net(torch.nn.Module):
    total: torch.Tensor
    cache: torch.Tensor
    twin: torch.Tensor  # only where a test sets it

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(2))
        self.register_buffer("total", torch.zeros(2))
        self.register_buffer("cache", torch.zeros(2), persistent=False)
        self.plain = torch.zeros(2)
        self.calls: int | torch.Tensor = 0
        self.seen = []


def changed(snapshot):
    return {name: tensor.tolist() for name, tensor in snapshot.changed().items()}
