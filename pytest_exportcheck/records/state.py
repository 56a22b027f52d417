"""The state of a module and its call specification."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pytest_exportcheck.records.observations import TensorFacts

StateKind: TypeAlias = Literal["parameter", "buffer", "attribute"]


@dataclass(frozen=True, eq=False)
class StateEntry:
    """One named tensor of a module. ``tied_to`` and ``shares_with`` are the first name of the same tensor
    object, and of the same storage."""

    name: str
    kind: StateKind
    persistent: bool
    value: Any
    facts: TensorFacts
    tied_to: str
    shares_with: str


@dataclass(frozen=True, eq=False)
class StateRecord:
    """The named tensors of a module, and the keys of its ``state_dict()`` in order."""

    entries: Mapping[str, StateEntry]
    order: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class CallSpecRecord:
    """The call specification of a callable: pytree specs of ``(args, kwargs)`` and of the outputs.

    ``names`` are the names under which the program takes its inputs, None where the program does not state them.
    """

    inputs: Any
    outputs: Any
    names: tuple[str, ...] | None
