"""Slots: the places where a module holds tensors, in parameters, buffers, attributes and containers in attributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from pytest_exportcheck.harness._torch import non_persistent_buffers, state_tables
from pytest_exportcheck.harness.module_attributes import ATOMS, is_set_by_author
from pytest_exportcheck.records import StateKind


@dataclass(frozen=True)
class Slot:
    """The place where a module holds a tensor: ``holder[key]``, and the name that the state gives it."""

    name: str
    kind: StateKind
    persistent: bool
    holder: Any  # a dict, or a list or tuple in an attribute
    key: Any

    @property
    def can_be_rebound(self) -> bool:
        """Return True if another tensor can be put there: tables and containers of a compiled module cannot be
        changed.
        """
        return self.kind != "parameter" and isinstance(self.holder, dict)

    @property
    def tensor(self) -> Any:
        try:
            return self.holder[self.key]
        except (KeyError, IndexError):
            return None


def slots_of(module: torch.nn.Module) -> list[Slot]:
    """Return every place where a module holds a tensor, under every name (tied ones and shared submodules included)."""
    found: list[Slot] = []
    for prefix, owner in module.named_modules(remove_duplicate=False):
        dot = f"{prefix}." if prefix else ""
        parameters, buffers = state_tables(owner)
        for key, tensor in parameters.items():
            if tensor is not None:
                found.append(Slot(dot + key, "parameter", True, parameters, key))
        for key, tensor in buffers.items():
            if tensor is not None:
                persistent = key not in non_persistent_buffers(owner)
                found.append(Slot(dot + key, "buffer", persistent, buffers, key))
        for key, value in vars(owner).items():
            if is_set_by_author(key):
                found += _attribute_slots(dot + key, vars(owner), key, value)
    return found


def _attribute_slots(name: str, holder: Any, key: Any, value: Any) -> list[Slot]:
    """Return the slot of a tensor attribute, or the slots of an attribute that is a container of tensors and plain
    data.
    """
    if isinstance(value, torch.Tensor):
        return [Slot(name, "attribute", False, holder, key)]
    if not _is_container(value) or isinstance(value, set):
        return []
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    return [slot for inner, entry in entries for slot in _attribute_slots(f"{name}[{inner!r}]", value, inner, entry)]


def _is_container(value: Any) -> bool:
    """Return whether a value is a container of plain data and tensors only; other containers, such as a graph's list of
    nodes or of submodules, must not be changed.
    """
    if type(value) in (list, tuple, set):
        return all(is_plain_data(each) for each in value)
    return type(value) is dict and all(type(key) in ATOMS and is_plain_data(each) for key, each in value.items())


def is_plain_data(value: Any) -> bool:
    """Return whether a value is a scalar, a tensor, or a container of plain data and tensors."""
    return type(value) in ATOMS or isinstance(value, torch.Tensor) or _is_container(value)
