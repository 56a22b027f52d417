"""Golden programs: what ``facts.json`` holds, next to a saved program with inputs and outputs.

msgspec writes and reads these classes as they are; docs/golden.md explains the folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

SCHEMA = "exportcheck-golden"

#: The version of the folder. A minor version adds fields, values or files; a major version changes or removes some.
#:
#: - 1.0, 28 November 2026: the first version.
MAJOR, MINOR = 1, 0


@dataclass(frozen=True, kw_only=True)
class Interface:
    """The parts of a program that its callers depend on, as text. ``inputs`` and ``outputs`` have kind, name, dtype and
    shape; ``ranges`` those of the sizes, by the input that gives the size.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    ranges: Mapping[str, str] = field(default_factory=dict)
    guards: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GoldenFacts:
    """The content of ``facts.json``: who wrote the program, and what is expected of it.

    ``capture`` is the mode by which torch captured the case. ``calls`` are the calls of ``io.pt``, ``refused`` those
    that the program must refuse. ``files`` has the SHA-256 digest of each of the other files.
    """

    schema: str = SCHEMA
    version: str = f"{MAJOR}.{MINOR}"
    case: str
    torch: str
    exportcheck: str
    capture: str
    machine: str
    cpu_capability: str
    threads: int
    interface: Interface
    calls: tuple[str, ...]
    refused: tuple[str, ...] = ()
    files: Mapping[str, str]


GoldenChange: TypeAlias = Literal["new", "changed", "unchanged", "removed"]
