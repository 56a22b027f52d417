"""The models that figures are taken on: ten ordinary ones, with random weights. torchvision is needed for most."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn
from torch.export import Dim

from pytest_exportcheck.records import Case, Origin

ORIGIN = Origin("benchmarks.models", __file__, 1)
BATCH = Dim("batch", min=1, max=16)


class TiedLanguageModel(nn.Module):
    """A transformer layer between an embedding and a head that share their weight."""

    def __init__(self, vocabulary: int = 100, width: int = 32) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(torch.randn(1, 64, width))
        self.block = nn.TransformerEncoderLayer(width, 4, 64, batch_first=True, norm_first=True)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        length = ids.shape[1]
        mask = torch.triu(torch.full((length, length), float("-inf")), 1)
        hidden = self.block(self.embedding(ids) + self.positions[:, :length], src_mask=mask)
        logits: torch.Tensor = self.head(self.norm(hidden))
        return logits


class SmallViT(nn.Module):
    """A vision transformer: patches, a class token, two layers."""

    def __init__(self, width: int = 32, patches: int = 16) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, width, 8, 8)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, patches + 1, width))
        self.layers = nn.Sequential(
            *(nn.TransformerEncoderLayer(width, 4, 64, batch_first=True, norm_first=True) for _ in range(2))
        )
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        patches = self.patch(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(x.shape[0], -1, -1), patches], 1) + self.positions
        logits: torch.Tensor = self.head(self.norm(self.layers(tokens))[:, 0])
        return logits


class BatchNormInTraining(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.dropout, self.head = nn.Dropout(0.3), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.dropout(self.norm(self.convolution(x)).relu().mean((2, 3))))
        return logits


def _vision(name: str, **options: object) -> nn.Module:
    import torchvision

    module: nn.Module = torchvision.models.get_model(name, **options)
    return module


def _image(name: str) -> Case:
    return Case(
        name=name,
        build=partial(_vision, name),
        origin=ORIGIN,
        args=lambda: (torch.randn(2, 3, 64, 64),),
        dynamic_shapes={"x": {0: BATCH}},
    )


CASES = {
    "tied_language_model": Case(
        name="tied_language_model",
        build=TiedLanguageModel,
        origin=ORIGIN,
        args=lambda: (torch.randint(0, 100, (2, 16)),),
        dynamic_shapes={"ids": {0: BATCH}},
    ),
    "batch_norm_training": Case(
        name="batch_norm_training",
        build=BatchNormInTraining,
        origin=ORIGIN,
        args=lambda: (torch.randn(4, 3, 8, 8),),
        train=True,
    ),
    "small_vit": Case(
        name="small_vit",
        build=SmallViT,
        origin=ORIGIN,
        args=lambda: (torch.randn(2, 3, 32, 32),),
        dynamic_shapes={"x": {0: BATCH}},
    ),
    "resnet18": _image("resnet18"),
    "mobilenet_v3_small": _image("mobilenet_v3_small"),
    "swin_t": _image("swin_t"),
    "densenet121": _image("densenet121"),
    "efficientnet_b0": _image("efficientnet_b0"),
    "convnext_tiny": _image("convnext_tiny"),
    "deeplabv3_mobilenet": Case(
        name="deeplabv3_mobilenet",
        build=partial(_vision, "deeplabv3_mobilenet_v3_large", weights_backbone=None),
        origin=ORIGIN,
        args=lambda: (torch.randn(2, 3, 64, 64),),
    ),
}
