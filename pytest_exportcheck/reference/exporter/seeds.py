"""Models that seed torch's generator, which an exported program cannot represent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pytest_exportcheck.reference.exporter.errors import NotTraceable

_UNLIKELY = 0x5EED_0F_0DD


@contextmanager
def not_seeded() -> Iterator[None]:
    """Restore the generators, and refuse a model that seeds torch's, because its seed would be lost: also where the
    model restores the state, as ``torch.random.fork_rng`` does, if :func:`refuse_seeded` is called in between.
    """
    generator = torch.default_generator
    before = generator.get_state()
    generator.manual_seed(_UNLIKELY)
    try:
        yield
        refuse_seeded()
    finally:
        generator.set_state(before)


def refuse_seeded() -> None:
    """Refuse the model if it has seeded the generator."""
    if torch.default_generator.initial_seed() != _UNLIKELY:
        raise NotTraceable(
            "the model seeds torch's generator (torch.manual_seed), which an exported program cannot represent: its random numbers would differ. "
            "Seed it outside the model, or pass the random tensors as inputs."
        )
