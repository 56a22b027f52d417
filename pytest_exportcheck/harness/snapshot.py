"""Snapshots of a module's state, and their restoration."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch

from pytest_exportcheck.harness._torch import is_view, state_tables
from pytest_exportcheck.harness.module_attributes import is_set_by_author
from pytest_exportcheck.harness.objects import ObjectsSnapshot
from pytest_exportcheck.harness.slots import Slot, is_plain_data, slots_of
from pytest_exportcheck.harness.tensors import (
    as_plain,
    detached_clone,
    has_own_kernels,
    has_values,
    same_bits,
    set_requires_grad,
)
from pytest_exportcheck.harness.tensors.writes import make_leaf, version_of, write_back
from pytest_exportcheck.records import StateKind


class ModuleSnapshot:
    """The state of a module at one time: values, bindings, ``.grad``, ``requires_grad``, training flags and plain
    Python attributes.

    ``pristine`` maps names to tensors that never change: where one holds the same bits, it serves as the copy, so that
    the weights of a case are copied once however many programs hold them. ``by_version``, for many calls in a row: a
    parameter whose version counter has not moved counts as unchanged, which misses writes through ``.data`` (buffers
    are compared: batch norm writes past their counters), and only the places that hold a tensor now are compared.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        pristine: Mapping[str, torch.Tensor] | None = None,
        *,
        by_version: bool = False,
    ) -> None:
        pristine = pristine or {}
        self._module = module
        self._slots = [(slot, slot.tensor) for slot in slots_of(module)]
        self._aliases: dict[str, torch.Tensor] = {}
        self.values: dict[str, torch.Tensor] = {
            slot.name: _unchanging_copy(tensor, pristine.get(slot.name)) for slot, tensor in self._slots
        }
        self._grads = [
            (tensor, tensor.grad, None if tensor.grad is None else detached_clone(tensor.grad))
            for _, tensor in self._slots
            if tensor.is_leaf
        ]
        self._requires_grad = {slot.name: tensor.requires_grad for slot, tensor in self._slots}
        self._leaves = [tensor for _, tensor in self._slots if tensor.is_leaf]
        self._owners = [_OwnerSnapshot(owner) for owner in module.modules()]
        self.objects = ObjectsSnapshot(module)
        self._by_version = by_version
        self._unchanged: set[str] = set()  # according to the last comparison, until they are put back
        parameters = [(slot, tensor) for slot, tensor in self._slots if slot.kind == "parameter" and by_version]
        self._versions = {slot.name: (tensor, version_of(tensor)) for slot, tensor in parameters}

    def _stands_still(self, name: str, tensor: torch.Tensor) -> bool:
        """Return whether this is the tensor that had the name, and nothing was written to it."""
        before, version = self._versions.get(name, (None, None))
        return before is tensor and version is not None and version == version_of(tensor)

    def changed(self) -> dict[str, torch.Tensor]:
        """Return clones of the tensors that now differ from the snapshot, by name.

        A buffer that was None counts; an attribute that is new since the snapshot does not: it was not state before.
        """
        found = {
            slot.name: detached_clone(slot.tensor)
            for slot in self._places()
            if self._is_state(slot)
            and not (
                slot.name in self.values
                and (self._stands_still(slot.name, slot.tensor) or same_bits(slot.tensor, self.values[slot.name]))
            )
        }
        if self._by_version:
            self._unchanged = {slot.name for slot, tensor in self._slots if slot.tensor is tensor} - set(found)
        return found

    def kinds(self) -> dict[str, StateKind]:
        """Map every name of :meth:`changed` to the kind of its place."""
        return {slot.name: slot.kind for slot in self._places()}

    def changed_flags(self) -> dict[str, tuple[bool, bool]]:
        """Return the tensors whose ``requires_grad`` has changed: name to (before, now)."""
        return {
            slot.name: (self._requires_grad[slot.name], tensor.requires_grad)
            for slot, tensor in self._slots
            if tensor.requires_grad != self._requires_grad[slot.name]
        }

    def aliased(self) -> None:
        """Put an alias of the same memory into every place that holds a tensor which does not require grad, until
        :meth:`restore`: what autograd records on the alias does not reach the tensor that other code holds.
        """
        self.objects.replaced()
        aliases: dict[int, torch.Tensor] = {}
        for slot, tensor in self._slots:
            if slot.can_be_rebound and _is_plain_view(tensor):
                self._aliases[slot.name] = aliases.setdefault(id(tensor), tensor.detach())
                slot.holder[slot.key] = self._aliases[slot.name]

    def rebound(self) -> frozenset[str]:
        """Return the names of the module's own attributes that hold another tensor object now."""
        own = [(slot, tensor) for slot, tensor in self._slots if slot.kind == "attribute" and "[" not in slot.name]
        return frozenset(slot.name for slot, tensor in own if slot.tensor is not self._aliases.get(slot.name, tensor))

    def current(self) -> list[tuple[str, torch.Tensor]]:
        """Return the tensors that the module's state holds now, by name; not those that forward() put into an
        attribute.
        """
        rebound = self.rebound()
        return [
            (slot.name, slot.tensor) for slot in self._places() if self._is_state(slot) and slot.name not in rebound
        ]

    def _is_state(self, slot: Slot) -> bool:
        """Return whether a slot is state, which a plain attribute that is new since the snapshot is not: forward sets
        it for other code to read.
        """
        return slot.kind != "attribute" or slot.name in self.values

    def _places(self) -> list[Slot]:
        held = [slot for slot, _ in self._slots if slot.tensor is not None]
        return held if self._by_version else slots_of(self._module)

    def restore(self) -> None:
        """Put values, bindings, ``.grad``, flags and plain attributes back."""
        for owner in self._owners:
            owner.restore()
        self.objects.restore()
        unchanged, self._unchanged = self._unchanged, set()
        with torch.no_grad():
            for tensor in self._leaves:
                make_leaf(tensor)
            for slot, tensor in self._slots:
                if tensor.is_leaf and tensor.requires_grad != self._requires_grad[slot.name]:
                    set_requires_grad(tensor, self._requires_grad[slot.name])
                if slot.name not in unchanged and not self._stands_still(slot.name, tensor):
                    write_back(tensor, self.values[slot.name])
                    if slot.name in self._versions:
                        self._versions[slot.name] = (tensor, version_of(tensor))
            for tensor, grad, values in self._grads:
                if tensor.grad is not grad:
                    tensor.grad = grad
                if grad is not None and values is not None:
                    write_back(grad, values)


@as_plain
def _is_plain_view(tensor: torch.Tensor) -> bool:
    return is_view(tensor) and not tensor.requires_grad and not has_own_kernels(tensor) and has_values(tensor)


class _OwnerSnapshot:
    """The bindings of one module: parameters, buffers, public attributes that are plain or tensors, and the contents of
    containers of such.
    """

    def __init__(self, owner: torch.nn.Module) -> None:
        self._owner = owner
        tables: tuple[dict[str, Any], ...] = state_tables(owner)
        if isinstance(
            owner, torch.jit.ScriptModule
        ):  # its tables are views of the compiled module, which cannot be changed
            tables = ()
        self._tables = [(table, dict(table)) for table in tables]
        self._names = set(vars(owner))
        self._attributes = {
            name: value for name, value in vars(owner).items() if is_set_by_author(name) and is_plain_data(value)
        }
        self._containers = [inside for value in self._attributes.values() for inside in _insides(value)]

    def restore(self) -> None:
        for table, entries in self._tables:
            table.clear()
            table.update(entries)
        attributes = vars(self._owner)
        for name in [name for name in attributes if is_set_by_author(name) and name not in self._names]:
            del attributes[name]
        attributes.update(self._attributes)
        for container, entries in self._containers:
            container.clear()
            container.extend(entries) if isinstance(container, list) else container.update(entries)


def _insides(value: Any) -> list[tuple[Any, Any]]:
    """Return the mutable containers in a value, each with a shallow copy."""
    if not isinstance(value, (list, tuple, set, dict)):
        return []
    own = [] if isinstance(value, tuple) else [(value, copy.copy(value))]
    entries = value.values() if isinstance(value, dict) else value
    return own + [inside for entry in entries for inside in _insides(entry)]


def _unchanging_copy(tensor: torch.Tensor, candidate: torch.Tensor | None) -> torch.Tensor:
    if candidate is not None and candidate is not tensor and same_bits(tensor, candidate):
        return candidate
    return detached_clone(tensor)
