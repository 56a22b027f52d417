"""The caches that transformers' models return, as pytrees, so that programs that return them can be captured and saved.

transformers 5 offers ``register_dynamic_cache_export_support``. It is not used, because its unflatten makes tensors and
concatenates: a trace through it (Dynamo's capture, lowering, a retrace) adds these operations to the program, two for
every layer, again at every step. The functions that are registered here only put tensors back in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

import torch

from pytest_exportcheck.harness._torch import pytree

#: Plain values of a layer that belong to its structure. Counters do not: they are symbols where a program is captured.
_STRUCTURE = ("sliding_window", "number_of_states")
_HALVES = ("self_attention_cache", "cross_attention_cache")


def register_caches() -> None:
    """Register transformers' ``DynamicCache`` and ``EncoderDecoderCache`` as pytrees. Existing registrations stay.

    A cache that is put together again is for comparing: it holds its tensors, not its counters. Types of outputs
    (``ModelOutput``) are registered by transformers itself where they are made.
    """
    caches = import_module("transformers.cache_utils")
    for cache, flatten, unflatten in (
        (caches.DynamicCache, _layers, _put_together(caches)),
        (caches.EncoderDecoderCache, _halves, lambda halves, _: caches.EncoderDecoderCache(*halves)),
    ):
        if cache not in pytree.SUPPORTED_NODES:
            pytree.register_pytree_node(
                cache,
                flatten,
                unflatten,
                serialized_type_name=f"{cache.__module__}.{cache.__name__}",
                flatten_with_keys_fn=_with_keys(flatten),
            )


def _with_keys(flatten: Any) -> Any:
    def flatten_with_keys(cache: Any) -> tuple[list[tuple[pytree.KeyEntry, Any]], Any]:
        values, context = flatten(cache)
        return [(pytree.SequenceKey(place), value) for place, value in enumerate(values)], context

    return flatten_with_keys


def _halves(pair: Any) -> tuple[list[Any], None]:
    return [getattr(pair, name) for name in _HALVES], None


def _layers(cache: Any) -> tuple[list[torch.Tensor], list[Any]]:
    """Return the tensors of all layers, and for each layer its class, the places of its tensors, and its structure:
    lists and plain values only, as JSON keeps them.
    """
    tensors: list[torch.Tensor] = []
    context: list[Any] = []
    for layer in cache.layers:
        held = list(_held(layer))
        tensors.extend(tensor for _, tensor in held)
        structure = [[name, getattr(layer, name)] for name in _STRUCTURE if hasattr(layer, name)]
        context.append([type(layer).__name__, [place for place, _ in held], structure])
    return tensors, context


def _held(layer: Any) -> Iterator[tuple[list[Any], torch.Tensor]]:
    """Yield the tensors of a layer with their places: by attribute, or by attribute and key (states of linear
    attention).
    """
    for name, value in vars(layer).items():
        if isinstance(value, torch.Tensor) and not name.startswith("_"):
            yield [name], value
        elif isinstance(value, dict):
            for key, state in value.items():
                if isinstance(state, torch.Tensor):
                    yield [name, key], state


def _put_together(caches: ModuleType) -> Callable[[Iterable[Any], Any], Any]:
    """Return the inverse of :func:`_layers`. Dynamo traces it where a program is captured again: nothing is imported in
    it.
    """
    owners = {name: value for name, value in vars(caches).items() if isinstance(value, type)}
    dynamic_cache = caches.DynamicCache

    def cache_of(tensors: Iterable[Any], context: Any) -> Any:
        rest = iter(tensors)
        cache = dynamic_cache()
        cache.layers = [_layer(owners[name], places, structure, rest) for name, places, structure in context]
        return cache

    return cache_of


def _layer(owner: Any, places: Sequence[Any], structure: Sequence[Any], tensors: Iterator[Any]) -> Any:
    """Return a layer that holds the next tensors. Its class's ``__init__`` is not called, because it makes new
    tensors.
    """
    layer = owner.__new__(owner)
    for name, value in structure:
        setattr(layer, name, value)
    layer.is_initialized = len(places) > 0
    for place in places:
        if len(place) == 1:
            setattr(layer, place[0], next(tensors))
        else:
            if not hasattr(layer, place[0]):
                setattr(layer, place[0], {})
            getattr(layer, place[0])[place[1]] = next(tensors)
    return layer
