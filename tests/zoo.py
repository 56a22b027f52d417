"""Tests that need the zoo extra carry the mark ``zoo``."""

from __future__ import annotations

import pytest


def has_torchvision() -> bool:
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):  # RuntimeError: a wheel built for another torch
        return False
    return True


zoo = pytest.mark.skipif(
    not has_torchvision(),
    reason="the zoo extra (torchvision) is not installed, or its wheel does not load beside this torch",
)
