"""Inputs of models of transformers: a table from the name of a model's main input to makers of tensors."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from pytest_exportcheck.sources.tiny_configs import CHANNELS, FRAMES, IMAGE, MELS, VOCABULARY

#: Extent of a dimension -> its length in one set of inputs.
Lengths = Mapping[str, int]


@dataclass(frozen=True)
class Argument:
    """One keyword argument: a maker, and the extents of its dimensions."""

    make: Callable[[Lengths], torch.Tensor]
    axes: Mapping[int, str]


def arguments_of(main_input: str, config: Any, parameters: Collection[str]) -> dict[str, Argument]:
    """Return the arguments of a ``forward`` that has these parameters; empty where the main input is of an unknown
    kind.
    """
    makers = _KINDS.get(main_input)
    if makers is None:
        return {}
    made = makers(config)
    if main_input == "input_ids" and "pixel_values" in parameters and _two_towers(config):
        made.update(_images(config))
    if getattr(config, "is_encoder_decoder", False):
        made["decoder_input_ids"] = Argument(lambda lengths: _words(config, lengths, "decoder_length"), _DECODED)
    return {name: argument for name, argument in made.items() if name in parameters}


_TEXT, _DECODED = {0: "batch", 1: "length"}, {0: "batch", 1: "decoder_length"}


def one_length(config: Any) -> bool:
    """Return whether a program of this family works for one length of text only."""
    return config.model_type in _LOOPS


def _two_towers(config: Any) -> bool:
    """Return whether text and image are two separate inputs, as in CLIP, not an image among the words."""
    towers = hasattr(config, "text_config") and hasattr(config, "vision_config")
    return towers and not any(hasattr(config, name) for name in ("image_token_id", "image_token_index"))


def _texts(config: Any) -> dict[str, Argument]:
    """Return ``input_ids`` (batch, length) int64; ``attention_mask`` the same shape, with padding at the first
    example's end, since models take other kernels for masks without padding when they are not captured.
    """
    axes = {0: "batch"} if one_length(config) else _TEXT
    return {
        "input_ids": Argument(lambda lengths: _words(config, lengths, "length"), axes),
        "attention_mask": Argument(_mask, axes),
    }


def _words(config: Any, lengths: Lengths, extent: str) -> torch.Tensor:
    """Return words at random; none is special, because special words are at the ends of the vocabulary."""
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    size = getattr(text, "vocab_size", None) or VOCABULARY
    return torch.randint(4, size - 12, (lengths["batch"], lengths[extent]))


def _mask(lengths: Lengths) -> torch.Tensor:
    mask = torch.ones(lengths["batch"], lengths["length"], dtype=torch.int64)
    mask[0, -1:] = 0
    return mask


def _images(config: Any) -> dict[str, Argument]:
    """Return ``pixel_values`` (batch, channels, height, width), of videos (batch, frames, channels, height, width)."""
    vision = getattr(config, "vision_config", config)
    frames = (vision.num_frames,) if config.model_type in _VIDEOS else ()
    shape = (*frames, *_image_shape(vision))
    return {"pixel_values": Argument(lambda lengths: torch.randn(lengths["batch"], *shape), {0: "batch"})}


def _image_shape(config: Any) -> tuple[int, int, int]:
    size = getattr(config, "image_size", None) or IMAGE
    height, width = (size, size) if isinstance(size, int) else (size[0], size[-1])
    return (getattr(config, "num_channels", None) or CHANNELS, height, width)


def _features(config: Any) -> dict[str, Argument]:
    """Return ``input_features``: (batch, frames, mels); Whisper and its relatives take (batch, mels, frames), of one
    length only.
    """
    mels = getattr(config, "num_mel_bins", None) or getattr(config, "input_feat_per_channel", None) or MELS
    frames = 2 * getattr(config, "max_source_positions", 0)
    if frames and hasattr(config, "num_mel_bins"):
        return {"input_features": Argument(lambda lengths: torch.randn(lengths["batch"], mels, frames), {0: "batch"})}
    return {"input_features": Argument(lambda lengths: torch.randn(lengths["batch"], FRAMES, mels), {0: "batch"})}


def _waves(config: Any) -> dict[str, Argument]:
    """Return ``input_values``: (batch, samples), (batch, 1, samples), or (batch, frames, mels) where a family takes
    spectrograms.
    """
    if hasattr(config, "num_mel_bins") and hasattr(config, "frequency_stride"):
        shape: tuple[int, ...] = (config.max_length, config.num_mel_bins)
    else:
        shape = (1, _SAMPLES) if config.model_type in _CODECS else (_SAMPLES,)
    return {"input_values": Argument(lambda lengths: torch.randn(lengths["batch"], *shape), {0: "batch"})}


_SAMPLES = 800
#: Families that loop over the words in Python where their kernels are missing: a program has one length.
_LOOPS = ("mamba", "falcon_mamba")
_VIDEOS = ("timesformer", "videomae", "vivit")
_CODECS = ("dac", "encodec", "mimi", "xcodec")

_KINDS: Mapping[str, Callable[[Any], dict[str, Argument]]] = {
    "input_ids": _texts,
    "pixel_values": _images,
    "input_features": _features,
    "input_values": _waves,
}
