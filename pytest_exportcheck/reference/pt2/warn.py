"""Warnings about a program or a file, reported at the line that saves or loads it."""

from __future__ import annotations

import sys
import warnings
from types import FrameType

#: The packages whose lines a warning does not point at: this one, and torch, which calls back into this one.
_INTERNAL = ("pytest_exportcheck", "torch")


def warn_caller(text: str, category: type[Warning]) -> None:
    """Warn at the innermost line outside this package, however many calls it is away."""
    frame: FrameType | None = sys._getframe(1)
    level = 2
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _INTERNAL:
        frame, level = frame.f_back, level + 1
    warnings.warn(text, category, stacklevel=level)
