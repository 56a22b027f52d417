"""All faults by group: one file a group, one function a fault."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

from tests.faults.catalogue import (
    aliasing,
    call_spec,
    closeness,
    constants,
    constraints,
    effects,
    examples,
    gradients,
    kept_views,
    metadata,
    module_calls,
    nodes,
    origins,
    signature,
    stability,
    state,
    strides,
    structure,
    subclasses,
    val,
    values,
    verifiers,
)
from tests.faults.fault import Fault


def _faults_of(module: ModuleType) -> tuple[Fault, ...]:
    """The faults that a module names, and those of its ``FAMILIES``."""
    named = [value for value in vars(module).values() if isinstance(value, Fault)]
    return (*named, *getattr(module, "FAMILIES", ()))


_GROUPS = (
    values,
    origins,
    closeness,
    structure,
    strides,
    gradients,
    effects,
    aliasing,
    nodes,
    metadata,
    val,
    signature,
    constraints,
    state,
    subclasses,
    constants,
    call_spec,
    module_calls,
    examples,
    verifiers,
    stability,
    kept_views,
)

CATALOGUE: Mapping[str, tuple[Fault, ...]] = {
    module.__name__.rpartition(".")[2].replace("_", " "): _faults_of(module) for module in _GROUPS
}

FAULTS: tuple[Fault, ...] = tuple(fault for faults in CATALOGUE.values() for fault in faults)
