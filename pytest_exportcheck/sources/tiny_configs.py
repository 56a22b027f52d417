"""Tiny configs of transformers: known size fields get small numbers, everything else stays the family's default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

VOCABULARY, POSITIONS, IMAGE, PATCH, CHANNELS, MELS, FRAMES = 99, 64, 32, 8, 3, 16, 32

#: Value <- the fields that get it, wherever a family's default is a plain number. A width of 32 in 4 heads: each is 8
#: wide.
_ROWS = (
    # widths
    (32, "hidden_size d_model n_embd dim embed_dim embedding_size word_embed_proj_dim emb_dim model_dim output_dim"),
    (32, "encoder_hidden_size decoder_hidden_size text_embed_dim vision_embed_dim last_hidden_size out_hidden_size"),
    (32, "projection_dim projection_size pooler_output_size conv_channels"),
    (64, "intermediate_size d_ff n_inner ffn_dim encoder_ffn_dim decoder_ffn_dim hidden_dim d_inner mlp_dim"),
    (64, "ffn_hidden_size moe_intermediate_size shared_expert_intermediate_size shared_intermediate_size"),
    # depths
    (2, "num_hidden_layers n_layer n_layers num_layers encoder_layers decoder_layers num_encoder_layers"),
    (2, "num_decoder_layers num_hidden_groups depth num_blocks encoder_num_hidden_layers decoder_num_hidden_layers"),
    # heads
    (4, "num_attention_heads n_head n_heads num_heads encoder_attention_heads decoder_attention_heads"),
    (4, "encoder_num_attention_heads decoder_num_attention_heads"),
    (2, "num_key_value_heads num_kv_heads encoder_num_key_value_heads decoder_num_key_value_heads"),
    (8, "head_dim d_kv d_head attention_head_size kv_channels rotary_dim"),
    # experts
    (4, "num_experts num_local_experts n_routed_experts moe_num_experts"),
    (2, "num_experts_per_tok moe_topk moe_top_k num_experts_per_token top_k_experts"),
    # words and their places
    (VOCABULARY, "vocab_size entity_vocab_size decoder_vocab_size encoder_vocab_size"),
    (POSITIONS, "max_position_embeddings n_positions max_sequence_length n_ctx max_target_positions"),
    # images
    (IMAGE, "image_size img_size input_size"),
    (PATCH, "patch_size encoder_stride"),
    (2, "num_frames"),
    # sound
    (MELS, "num_mel_bins input_feat_per_channel"),
    (FRAMES, "max_source_positions"),
    (16, "num_conv_pos_embeddings"),
    (2, "num_conv_pos_embedding_groups"),
)
SIZES: Mapping[str, int] = {name: value for value, names in _ROWS for name in names.split()}

_LATENT = {
    "num_key_value_heads": 4,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "head_dim": 8,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
}
_FOUR_LAYERS = {"num_hidden_layers": 4}
_STAGES = {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2}
_WINDOWS = {"embed_dim": 16, "depths": [1, 1], "num_heads": [2, 4], "window_size": 2, "patch_size": 2}
_WAVES = {"conv_dim": [32, 32], "conv_kernel": [8, 4], "conv_stride": [4, 2], "num_feat_extract_layers": 2}
_SECTIONS = {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}}

#: Families whose fields depend on one another, or are lists: model_type -> fields.
FAMILIES: Mapping[str, Mapping[str, Any]] = {
    # latent attention: a head is its rotary part and the rest
    **dict.fromkeys(["deepseek_v2", "deepseek_v3", "glm4_moe_lite", "youtu"], _LATENT),
    # every fourth layer attends; the others are linear
    **dict.fromkeys(["qwen3_next", "qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text"], _FOUR_LAYERS),
    # places in time, height and width
    **dict.fromkeys(["qwen2_vl", "qwen2_vl_text", "qwen2_5_vl", "qwen2_5_vl_text"], _SECTIONS),
    # stages of convolutions or windows
    **dict.fromkeys(("convnext", "convnextv2", "resnet"), _STAGES),
    **dict.fromkeys(("swin", "swinv2", "maskformer-swin", "donut-swin"), _WINDOWS),
    # convolutions over samples
    **dict.fromkeys(("wav2vec2", "hubert", "wavlm", "unispeech", "unispeech-sat", "data2vec-audio", "sew"), _WAVES),
    "audio-spectrogram-transformer": {"max_length": FRAMES, "patch_size": 4, "frequency_stride": 4, "time_stride": 4},
    # its vocabulary is a special one
    "esm": {"vocab_size": VOCABULARY, "pad_token_id": 1, "mask_token_id": 2},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": 4},
    "mamba2": {"num_heads": 8, "head_dim": 8, "n_groups": 1, "state_size": 8},
    "xmod": {"default_language": "en_XX"},
}


def tiny(config_class: Any, **fields: Any) -> Any:
    """Return a config of this class, small enough to check in seconds, made without any file.

    ``fields`` are set last. Configs within the config are made tiny too.
    """
    return config_class(**{**_tiny_fields(config_class()), **fields})


def _tiny_fields(default: Any) -> dict[str, Any]:
    """Return the fields to set where the defaults are too large, for this config and those within it."""
    values = default.to_dict()
    fields: dict[str, Any] = {
        name: SIZES[name] for name, value in values.items() if name in SIZES and type(value) is int
    }
    fields.update(_small_tokens(values, fields.get("vocab_size")))
    fields.update(FAMILIES.get(default.model_type, {}))
    for name in getattr(default, "sub_configs", {}):
        inner = getattr(default, name, None)
        if inner is not None:
            fields[name] = {"model_type": inner.model_type, **_tiny_fields(inner)}
    return fields


def _small_tokens(values: Mapping[str, Any], vocabulary: int | None) -> dict[str, int]:
    """Return distinct special tokens for those that would be outside the small vocabulary, from its end downward."""
    if vocabulary is None:
        return {}
    outside = [
        name
        for name, value in values.items()
        if name.endswith(("_token_id", "_token_index")) and type(value) is int and value >= vocabulary
    ]
    return {name: vocabulary - 1 - place for place, name in enumerate(outside)}
