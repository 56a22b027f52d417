"""Bundles: what ``finding.json`` and ``environment.json`` hold, in a folder that reproduces one finding.

msgspec writes and reads these classes as they are; docs/debugging.md explains the folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pytest_exportcheck.records.budgets import Agreement
from pytest_exportcheck.records.cases import Tolerance
from pytest_exportcheck.records.findings import Finding
from pytest_exportcheck.records.results import Outcome, RunSettings

SCHEMA = "exportcheck-bundle"

#: The version of the folder. A minor version adds fields, values or files; a major version changes or removes some.
#:
#: - 1.0, 28 November 2026: the first version.
#: - 1.1, 28 November 2026: `agreement` of a case; calls with named inputs.
MAJOR, MINOR = 1, 1

#: The beginning of a replay: the module, the program before the last stage, or nothing that can be run again.
Start: TypeAlias = Literal["module", "program", "nothing"]

ShapesKind: TypeAlias = Literal["none", "size", "dim", "derived", "hint", "tuple", "list", "dict"]


@dataclass(frozen=True, kw_only=True)
class StoredShapes:
    """Dynamic shapes as data. A ``dim`` has a name and bounds; a ``derived`` one is ``times * root + plus`` of the dim
    in ``items``; a ``hint`` has the name AUTO, DYNAMIC or STATIC; a ``size`` is a number in ``plus``.
    """

    kind: ShapesKind
    name: str = ""
    lower: int | None = None
    upper: int | None = None
    times: int = 1
    plus: int = 0
    keys: tuple[str | int, ...] = ()
    items: tuple[StoredShapes, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StoredModule:
    """The way to build the module again.

    ``factory`` is ``module:name`` of a class or a function that is called without arguments, and then given the state
    of ``state.pt``. Without one, ``module.pt`` is the module, pickled. ``files`` are those copied to ``source``;
    ``needs`` are the packages that must be installed, in addition to torch.
    """

    factory: str = ""
    files: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StoredRejection:
    """A refusal that must happen: at a stage, or at the call number ``call`` of those that ``inputs.pt`` keeps for it."""

    at: str
    kind: str = "*"
    error: str = ""
    call: int | None = None


@dataclass(frozen=True, kw_only=True)
class StoredCase:
    """The parts of a case that its verdicts depend on. ``context`` is ``module:name`` of a factory of context managers;
    ``specs`` are the dynamic shapes by position, ``agreement`` is the budget of the runtime that the mode ends in.
    """

    name: str
    seed: int = 0
    train: bool | None = None
    device: str | None = None
    random: bool = False
    tolerance: Tolerance | None = None
    agreement: Agreement | None = None
    context: str = ""
    dynamic_shapes: StoredShapes = StoredShapes(kind="none")
    specs: tuple[StoredShapes, ...] | None = None
    rejects: tuple[StoredRejection, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BundleRecord:
    """The content of ``finding.json``.

    ``outcome`` is the failed item; the first of its findings leads. ``mode`` is the one that the findings are about: the
    item's own, or the one that blocks it; ``stage`` is its last stage, judged at ``level`` by the check of the finding.
    ``call`` is the call of ``inputs.pt`` that showed it. ``left_out`` says what could not be stored, and why.
    """

    schema: str = SCHEMA
    version: str = f"{MAJOR}.{MINOR}"
    outcome: Outcome
    mode: str
    stage: str
    level: str = ""
    start: Start
    case: StoredCase
    module: StoredModule | None = None
    call: str = ""
    weight_bytes: int = 0
    weights: Literal["the model's", "random"] = "the model's"
    left_out: tuple[str, ...] = ()

    @property
    def finding(self) -> Finding:
        """Return the finding that leads: the first of those for which the item failed."""
        return self.outcome.findings[0]

    @property
    def engine(self) -> str:
        """Return the engine whose item failed; ``agree`` for a comparison of several."""
        return self.outcome.engine


@dataclass(frozen=True, kw_only=True)
class BundleEnvironment:
    """The content of ``environment.json``: where the finding was made. ``options`` are those of the command line that
    matter, ``packages`` the versions of installed packages that the finding may depend on.
    """

    schema: str = SCHEMA
    version: str = f"{MAJOR}.{MINOR}"
    settings: RunSettings
    machine: str
    cpu_capability: str
    options: tuple[str, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)
