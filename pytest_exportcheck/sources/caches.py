"""The caches that transformers' models return, as pytrees, so that programs that return them can be captured and saved."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import torch.utils._pytree as pytree


def register_caches() -> None:
    """Make pytrees of transformers' ``DynamicCache`` and ``EncoderDecoderCache``. What is registered already stays.

    The first is registered by transformers' own function. The second, which transformers 5 offers nothing of the kind
    for, holds two of the first. Types of outputs (``ModelOutput``) are registered by transformers where they are made.
    """
    import_module("transformers.integrations.executorch").register_dynamic_cache_export_support()
    pair = import_module("transformers.cache_utils").EncoderDecoderCache
    if pair not in pytree.SUPPORTED_NODES:
        pytree.register_pytree_node(
            pair,
            _halves,
            lambda halves, _: pair(*halves),
            serialized_type_name=f"{pair.__module__}.{pair.__name__}",
            flatten_with_keys_fn=_named_halves,
        )


_HALVES = ("self_attention_cache", "cross_attention_cache")


def _halves(pair: Any) -> tuple[list[Any], None]:
    return [getattr(pair, name) for name in _HALVES], None


def _named_halves(pair: Any) -> tuple[Sequence[tuple[pytree.KeyEntry, Any]], None]:
    return [(pytree.GetAttrKey(name), getattr(pair, name)) for name in _HALVES], None
