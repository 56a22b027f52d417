"""Sizes that a model declares or refuses, as hypothesis strategies and as a check."""

from pytest_exportcheck.fuzz.strategies import inputs_for, sizes_of

__all__ = ["inputs_for", "sizes_of"]
