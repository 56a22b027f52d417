"""What a module holds and how it is called."""

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
    """All named tensors of a module, and the keys of its ``state_dict()`` in order."""

    entries: Mapping[str, StateEntry]
    order: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class CallSpecRecord:
    """How a callable is called and what it returns: pytree specs of ``(args, kwargs)`` and of the outputs.

    ``names`` are the names under which the program takes its inputs, None where it does not say.
    """

    inputs: Any
    outputs: Any
    names: tuple[str, ...] | None
