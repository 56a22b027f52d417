"""Snapshots of a module's state and of the global modes of the process, and their restoration."""

from __future__ import annotations

import copy
import hashlib
import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from pytest_exportcheck.harness import _torch as private
from pytest_exportcheck.harness._torch import default_device, is_view, non_persistent_buffers, state_tables
from pytest_exportcheck.harness.module_attributes import ATOMS, is_set_by_author
from pytest_exportcheck.harness.tensors import (
    UNREADABLE,
    as_plain,
    detached_clone,
    has_own_kernels,
    has_values,
    is_strided,
    same_bits,
    set_requires_grad,
)
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
        return all(_is_ours(each) for each in value)
    return type(value) is dict and all(type(key) in ATOMS and _is_ours(each) for key, each in value.items())


def _is_ours(value: Any) -> bool:
    return type(value) in ATOMS or isinstance(value, torch.Tensor) or _is_container(value)


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


@as_plain
def make_leaf(tensor: torch.Tensor) -> None:
    """Make a tensor a leaf again after a value that requires grad was written to it. A view cannot become one in place:
    runs are given aliases that are not views (:meth:`ModuleSnapshot.aliased`).
    """
    if not tensor.is_leaf and not is_view(tensor):
        tensor.detach_()


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
            name: value for name, value in vars(owner).items() if is_set_by_author(name) and _is_ours(value)
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


@as_plain
def write_count(tensor: torch.Tensor) -> int | None:
    """Return how often a tensor was written to; None for an inference tensor, which does not count."""
    try:
        return private.write_count(tensor)
    except UNREADABLE:
        return None


@as_plain
def version_of(tensor: torch.Tensor) -> tuple[int, int] | None:
    """Return a value that changes when a tensor is written to or gets another storage; None if it has no count or no
    storage.
    """
    count = write_count(tensor)
    try:
        return None if count is None else (count, tensor.data_ptr())
    except UNREADABLE:
        return None


@as_plain
def write_back(tensor: torch.Tensor, value: torch.Tensor) -> None:
    """Give a tensor its values back, in place and past its version counter; a tensor that cannot be written to keeps
    its values.
    """
    if same_bits(tensor, value):
        return
    for write in (_write, _write_elements, _replace):
        try:
            with torch.inference_mode(tensor.is_inference()):
                write(tensor, value)
        except UNREADABLE:
            continue
        if same_bits(tensor, value):
            return


def _write(tensor: torch.Tensor, value: torch.Tensor) -> None:
    if not is_strided(tensor) or tensor.is_quantized:
        tensor.copy_(value)
    elif has_own_kernels(tensor):
        for name in type(tensor).__tensor_flatten__(tensor)[0]:  # type: ignore[attr-defined]
            write_back(getattr(tensor, name), getattr(value, name))
    elif tensor.shape != value.shape:  # resized since
        tensor.data = detached_clone(value)
    else:
        tensor.data.copy_(value)


def _write_elements(tensor: torch.Tensor, value: torch.Tensor) -> None:
    """Write elements that share memory, as expanded and overlapping ones do, one by one, by their place in the
    storage.
    """
    places = torch.zeros((), dtype=torch.int64)
    for size, step in zip(tensor.shape, tensor.stride(), strict=True):
        places = places.unsqueeze(-1) + torch.arange(size) * step
    flat = tensor.data.as_strided((int(places.max()) + 1,), (1,))
    flat[places.reshape(-1).to(tensor.device)] = value.reshape(-1)


def _replace(tensor: torch.Tensor, value: torch.Tensor) -> None:
    tensor.data = detached_clone(value)


def _unchanging_copy(tensor: torch.Tensor, candidate: torch.Tensor | None) -> torch.Tensor:
    if candidate is not None and candidate is not tensor and same_bits(tensor, candidate):
        return candidate
    return detached_clone(tensor)


@contextmanager
def preserved_globals() -> Iterator[None]:
    """Restore generators, grad mode, dtype, device, threads and autocast, whatever happens inside."""
    before = {name: read() for name, (read, _) in _MODES.items()}
    generators = _generators()
    try:
        yield
    finally:
        for name, (read, write) in _MODES.items():
            if read() != before[name]:
                write(before[name])
        _restore_generators(generators)


def changed_globals(before: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the global modes that differ from ``before`` (of :func:`global_modes`): name to (before, now)."""
    now = global_modes()
    return {name: (value, now[name]) for name, value in before.items() if now[name] != value}


def global_modes() -> dict[str, Any]:
    """Return the process-wide modes that a capture or a model can leave changed."""
    return {name: read() for name, (read, _) in _MODES.items()}


def _set_autocast(state: tuple[bool, torch.dtype]) -> None:
    torch.set_autocast_enabled("cpu", state[0])
    torch.set_autocast_dtype("cpu", state[1])


_MODES: dict[str, tuple[Any, Any]] = {
    "grad mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "number of threads": (torch.get_num_threads, torch.set_num_threads),
    "default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "default device": (default_device, torch.set_default_device),
    "deterministic algorithms": (
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
    ),
    "anomaly mode": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    "autocast": (
        lambda: (torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")),
        _set_autocast,
    ),
}


def _uses_cuda() -> bool:
    return torch.cuda.is_available() and bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


def _generators() -> dict[str, Any]:
    states: dict[str, Any] = {"python": random.getstate(), "torch": torch.random.get_rng_state()}
    if "numpy" in sys.modules:
        states["numpy"] = sys.modules["numpy"].random.get_state()
    if _uses_cuda():
        states["cuda"] = torch.cuda.get_rng_state_all()
    return states


def _restore_generators(states: Mapping[str, Any]) -> None:
    random.setstate(states["python"])
    torch.random.set_rng_state(states["torch"])
    if "numpy" in states:
        sys.modules["numpy"].random.set_state(states["numpy"])
    if "cuda" in states:
        torch.cuda.set_rng_state_all(states["cuda"])


def generator_digest() -> str:
    """Return a short text that changes when torch's default generators advance."""
    states = [torch.random.get_rng_state(), *(torch.cuda.get_rng_state_all() if _uses_cuda() else ())]
    return hashlib.sha1(b"".join(bytes(state.tolist()) for state in states)).hexdigest()[:12]


def seed_everything(seed: int) -> None:
    """Seed torch's, Python's and (where it is loaded) numpy's generators."""
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:  # not manual_seed: without a device it still queues a call for one, with a stack trace
        torch.default_generator.manual_seed(seed)
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % 2**32)
