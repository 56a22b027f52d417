"""The reference exporter, reader and writer of programs as plain functions, with torch's names, positions and defaults.

They are independent of torch's own: where the two disagree, one of them is wrong. ``docs/pt2-format.md`` describes what
they read and write. Each name is loaded at its first use, so that a part of the package can be imported without the
rest.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_exportcheck.reference.artifact import SerializedArtifact, canonicalize, deserialize, serialize
    from pytest_exportcheck.reference.exporter.decompose import decompose
    from pytest_exportcheck.reference.exporter.errors import (
        ConstraintViolation,
        DataDependent,
        ExportError,
        InvalidInput,
        NotSupported,
        NotTraceable,
    )
    from pytest_exportcheck.reference.exporter.export import export
    from pytest_exportcheck.reference.pt2.plain.extensions import register_extension
    from pytest_exportcheck.reference.pt2.program_file import load, load_programs, save, save_programs

__all__ = [
    "ConstraintViolation",
    "DataDependent",
    "ExportError",
    "InvalidInput",
    "NotSupported",
    "NotTraceable",
    "SerializedArtifact",
    "canonicalize",
    "decompose",
    "deserialize",
    "export",
    "load",
    "load_programs",
    "register_extension",
    "save",
    "save_programs",
    "serialize",
]

#: Module of the package -> the names that the module gives to this one.
_NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "exporter.errors": (
            "ConstraintViolation",
            "DataDependent",
            "ExportError",
            "InvalidInput",
            "NotSupported",
            "NotTraceable",
        ),
        "exporter.export": ("export",),
        "exporter.decompose": ("decompose",),
        "artifact": ("SerializedArtifact", "canonicalize", "deserialize", "serialize"),
        "pt2.plain.extensions": ("register_extension",),
        "pt2.program_file": ("load", "load_programs", "save", "save_programs"),
    }
)


def __getattr__(name: str) -> Any:
    """Load a public name from the module that defines it."""
    for module, names in _NAMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
