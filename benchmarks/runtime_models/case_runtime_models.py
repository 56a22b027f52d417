"""Twenty models that benchmarks.runtime_table puts through every runtime: from torchvision, timm and transformers, and some
with state, mutation, dynamic sizes and sizes that depend on data. They have random weights and small inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import timm
import torch
import torchvision.models
import transformers
from torch import nn
from torch.export import Dim

from pytest_exportcheck import export_case

BATCH = Dim("batch", min=1, max=16)


def images(side: int) -> Callable[[], tuple[torch.Tensor]]:
    return lambda: (torch.randn(2, 3, side, side),)


def tokens() -> tuple[torch.Tensor]:
    return (torch.randint(2, 90, (2, 8)),)


# --- torchvision, batch dynamic ---------------------------------------------------------------


@export_case(args=images(32), dynamic_shapes=({0: BATCH},))
def resnet18() -> Any:
    return torchvision.models.resnet18(num_classes=10)


@export_case(args=images(32), dynamic_shapes=({0: BATCH},))
def mobilenet_v3_small() -> Any:
    return torchvision.models.mobilenet_v3_small(num_classes=10)


@export_case(args=images(32), dynamic_shapes=({0: BATCH},))
def shufflenet_v2_x0_5() -> Any:
    return torchvision.models.shufflenet_v2_x0_5(num_classes=10)


@export_case(args=images(64), dynamic_shapes=({0: BATCH},))
def squeezenet1_1() -> Any:
    return torchvision.models.squeezenet1_1(num_classes=10)


@export_case(args=images(32), dynamic_shapes=({0: BATCH},))
def vision_transformer() -> Any:
    return torchvision.models.VisionTransformer(
        image_size=32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=32, mlp_dim=64, num_classes=10
    )


# --- timm ------------------------------------------------------------------------------------


@export_case(args=images(32), dynamic_shapes=({0: BATCH},))
def test_resnet() -> Any:
    return timm.create_model("test_resnet", num_classes=10)


@export_case(args=images(32), dynamic_shapes=({0: BATCH},))
def test_convnext() -> Any:
    return timm.create_model("test_convnext", num_classes=10)


@export_case(args=images(32), dynamic_shapes=({0: BATCH},))
def test_efficientnet() -> Any:
    return timm.create_model("test_efficientnet", num_classes=10)


@export_case(args=images(32), dynamic_shapes=({0: BATCH},))
def test_mambaout() -> Any:
    return timm.create_model("test_mambaout", num_classes=10)


@export_case(args=images(32), dynamic_shapes=({0: BATCH},))
def test_vit() -> Any:
    return timm.create_model("test_vit", num_classes=10, img_size=32)


# --- transformers, tiny configurations ---------------------------------------------------------


@export_case(args=tokens)
def BertForSequenceClassification() -> nn.Module:  # noqa: N802
    config = transformers.BertConfig(
        vocab_size=99, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=37
    )
    return transformers.BertForSequenceClassification(config)


@export_case(args=tokens)
def GPT2LMHeadModel() -> nn.Module:  # noqa: N802
    config = transformers.GPT2Config(vocab_size=99, n_embd=32, n_layer=2, n_head=2, n_positions=64, use_cache=False)
    return transformers.GPT2LMHeadModel(config)


@export_case(args=tokens, tolerance=1e-5)  # transformers builds the mask of attention only while it is traced
def LlamaForCausalLM() -> nn.Module:  # noqa: N802
    config = transformers.LlamaConfig(
        vocab_size=99,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=37,
        use_cache=False,
    )
    return transformers.LlamaForCausalLM(config)


@export_case(args=None, kwargs=lambda: {"input_ids": tokens()[0], "decoder_input_ids": tokens()[0]})
def T5ForConditionalGeneration() -> nn.Module:  # noqa: N802
    config = transformers.T5Config(
        vocab_size=99, d_model=32, d_kv=8, d_ff=37, num_layers=2, num_heads=4, use_cache=False
    )
    return transformers.T5ForConditionalGeneration(config)


@export_case(args=lambda: (torch.randn(2, 1600),))
def Wav2Vec2Model() -> nn.Module:  # noqa: N802
    config = transformers.Wav2Vec2Config(
        vocab_size=32,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=37,
        conv_dim=(16, 16, 16),
        conv_stride=(5, 2, 2),
        conv_kernel=(10, 3, 2),
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
    )
    return transformers.Wav2Vec2Model(config)


# --- state, mutation, dynamic sizes, sizes that depend on data ----------------------------------


@export_case(args=lambda: (torch.randn(2, 4),))
class RunningMean(nn.Module):
    """State: a buffer that every call moves."""

    mean: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.mean.mul_(0.9).add_(0.1 * x.mean(0))
        return x - self.mean


@export_case(args=lambda: (torch.randn(1, 2, 4), torch.randint(8, (1,))))
class KeyCache(nn.Module):
    """State: a cache that is written at a position which is an input."""

    keys: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("keys", torch.zeros(1, 8, 2, 4))

    def forward(self, key: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        self.keys.index_copy_(1, position, key[:, None])
        return torch.einsum("bhd,bshd->bhs", key, self.keys)


@export_case(args=lambda: (torch.randn(3, 4), torch.zeros(4)), dynamic_shapes=({0: BATCH}, None))
class AddsToInput(nn.Module):
    """Mutation: a sum is added to an input."""

    def forward(self, x: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
        total.add_(x.sum(0))
        return x * 2


@export_case(
    args=lambda: (torch.randint(0, 50, (2, 6)),),
    dynamic_shapes=({0: BATCH, 1: Dim("length", min=1, max=32)},),
)
class Tagger(nn.Module):
    """Batch and sequence are dynamic: a layer of a transformer that ignores padding."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 16)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.head = nn.Linear(16, 5)

    def forward(self, ids: torch.Tensor) -> dict[str, Any]:
        hidden = self.layer(self.embedding(ids), src_key_padding_mask=ids == 0)
        logits = self.head(hidden)
        return {"logits": logits, "tags": logits.argmax(-1)}


@export_case(args=lambda: (torch.randn(6, 4), torch.rand(6)), dynamic_shapes=({0: BATCH}, {0: BATCH}))
class KeepsConfident(nn.Module):
    """A size that depends on data: the rows with a high score."""

    def forward(self, boxes: torch.Tensor, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        kept = (scores > 0.5).nonzero()[:, 0]
        return boxes[kept], kept
