"""Packages that a source needs and the plugin does not."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from pytest_exportcheck.errors import SelectionError


def needed(source: str, package: str, module: str | None = None) -> ModuleType:
    """Return the package, or one module of it.

    Raises
    ------
    SelectionError
        When it cannot be imported: with the error's own words, and what to install.
    """
    try:
        return import_module(module or package)
    except (ImportError, RuntimeError) as error:  # RuntimeError: a wheel built for another torch
        raise SelectionError(
            f"the source {source} needs {package}, which cannot be imported here ({error}). "
            "Install it with: pip install 'pytest-exportcheck[zoo]'"
        ) from None
