"""All entries by theme: one file a theme."""

from __future__ import annotations

from tests.sized.library import accepted, bounds, effects, refused, specialised, values, zero_and_one
from tests.sized.sized import Sized

SIZED: tuple[Sized, ...] = (
    *zero_and_one.ENTRIES,
    *refused.ENTRIES,
    *accepted.ENTRIES,
    *values.ENTRIES,
    *specialised.ENTRIES,
    *effects.ENTRIES,
    *bounds.ENTRIES,
)
