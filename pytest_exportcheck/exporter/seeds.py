"""Models that seed torch's generator, which no program can say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from pytest_exportcheck.exporter.errors import NotTraceable

_UNLIKELY = 0x5EED_0F_0DD


@contextmanager
def not_seeded() -> Iterator[None]:
    """Generators are as before. A model that seeds torch's is refused, for its seed would be lost: also where it puts the state
    back, as ``torch.random.fork_rng`` does, if it calls anything of torch's in between."""
    generator = torch.default_generator
    before = generator.get_state()
    generator.manual_seed(_UNLIKELY)
    try:
        with _Watched():
            yield
        _check()
    finally:
        generator.set_state(before)


class _Watched(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not torch.compiler.is_dynamo_compiling():  # it traces branches, through this too
            _check()
        return func(*args, **(kwargs or {}))


def _check() -> None:
    if torch.default_generator.initial_seed() != _UNLIKELY:
        raise NotTraceable(
            "the model seeds torch's generator (torch.manual_seed), which no program can say: its random numbers would be others. "
            "Seed it outside of the model, or pass the random tensors in."
        )
