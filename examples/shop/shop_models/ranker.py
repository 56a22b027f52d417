"""A model that returns a class of the shop."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass
class Prediction:
    """The best scores, and the labels that have them."""

    scores: torch.Tensor
    labels: torch.Tensor


torch.export.register_dataclass(Prediction)


class Ranker(torch.nn.Module):
    """Scores the labels and returns the best three."""

    def __init__(self, size: int = 8) -> None:
        super().__init__()
        self.score = torch.nn.Linear(size, size)

    def forward(self, x: torch.Tensor) -> Prediction:
        scores, labels = torch.topk(self.score(x), 3)
        return Prediction(scores, labels)
