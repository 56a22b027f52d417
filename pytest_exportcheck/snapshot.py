"""Snapshots: a module's state, and the global modes of the process, as they were, and putting them back."""

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

from pytest_exportcheck.records import StateKind
from pytest_exportcheck.tensors import detached_clone, same_bits


@dataclass(frozen=True)
class Slot:
    """Where a module holds a tensor: ``holder[key]``, and how the state calls it."""

    name: str
    kind: StateKind
    persistent: bool
    holder: dict[str, Any]
    key: str

    @property
    def tensor(self) -> Any:
        return self.holder.get(self.key)


def slots_of(module: torch.nn.Module) -> list[Slot]:
    """Every place where a module holds a tensor, under every name (tied ones and shared submodules included)."""
    found: list[Slot] = []
    for prefix, owner in module.named_modules(remove_duplicate=False):
        dot = f"{prefix}." if prefix else ""
        plain = {
            key: value
            for key, value in vars(owner).items()
            if isinstance(value, torch.Tensor) and not key.startswith("_")
        }
        holders: tuple[tuple[StateKind, Any, dict[str, Any]], ...] = (
            ("parameter", owner._parameters, owner._parameters),
            ("buffer", owner._buffers, owner._buffers),
            ("attribute", plain, vars(owner)),
        )
        for kind, tensors, holder in holders:
            for key, tensor in tensors.items():
                if isinstance(tensor, torch.Tensor):
                    persistent = kind == "parameter" or (
                        kind == "buffer" and key not in owner._non_persistent_buffers_set
                    )
                    found.append(Slot(dot + key, kind, persistent, holder, key))
    return found


class ModuleSnapshot:
    """A module as it was: values, bindings, ``.grad``, ``requires_grad``, training flags and plain Python attributes.

    ``pristine`` maps names to tensors that never change: where one holds the same bits, it serves as the copy, so
    that the weights of a case are copied once however many programs hold them.
    """

    def __init__(self, module: torch.nn.Module, pristine: Mapping[str, torch.Tensor] | None = None) -> None:
        pristine = pristine or {}
        self._module = module
        self._slots = [(slot, slot.tensor) for slot in slots_of(module)]
        self.values: dict[str, torch.Tensor] = {
            slot.name: _unchanging_copy(tensor, pristine.get(slot.name)) for slot, tensor in self._slots
        }
        self._grads = [(tensor, tensor.grad) for _, tensor in self._slots if tensor.is_leaf]
        self._requires_grad = {slot.name: tensor.requires_grad for slot, tensor in self._slots}
        self._attributes = [(owner, _plain_attributes(owner)) for owner in module.modules()]

    def changed(self) -> dict[str, torch.Tensor]:
        """Clones of the tensors that now differ from the snapshot, by name."""
        return {
            slot.name: detached_clone(slot.tensor)
            for slot, tensor in self._slots
            if isinstance(slot.tensor, torch.Tensor)
            and not (slot.tensor is tensor and same_bits(tensor, self.values[slot.name]))
            and not same_bits(slot.tensor, self.values[slot.name])
        }

    def changed_flags(self) -> dict[str, tuple[bool, bool]]:
        """The tensors whose ``requires_grad`` is another now: name -> (before, now)."""
        return {
            slot.name: (self._requires_grad[slot.name], tensor.requires_grad)
            for slot, tensor in self._slots
            if tensor.requires_grad != self._requires_grad[slot.name]
        }

    def current(self) -> list[tuple[str, torch.Tensor]]:
        """The tensors that the module holds now, by name."""
        return [(slot.name, slot.tensor) for slot, _ in self._slots if isinstance(slot.tensor, torch.Tensor)]

    def restore(self) -> None:
        """Put values, bindings, ``.grad``, training flags and plain attributes back."""
        for owner, attributes in self._attributes:
            for name, value in attributes.items():
                if vars(owner).get(name, _GONE) != value:
                    vars(owner)[name] = copy.deepcopy(value)
        with torch.no_grad():
            for slot, tensor in self._slots:
                if tensor.is_leaf and tensor.requires_grad != self._requires_grad[slot.name]:
                    tensor.requires_grad_(self._requires_grad[slot.name])
                slot.holder[slot.key] = tensor
                value = self.values[slot.name]
                if not same_bits(tensor, value):
                    tensor.data.copy_(value)
        for tensor, grad in self._grads:
            tensor.grad = grad


_GONE = object()


def _unchanging_copy(tensor: torch.Tensor, candidate: torch.Tensor | None) -> torch.Tensor:
    if candidate is not None and candidate is not tensor and same_bits(tensor, candidate):
        return candidate
    return detached_clone(tensor)


def _plain_attributes(owner: torch.nn.Module) -> dict[str, Any]:
    """Training flag, counters, flags and containers of plain data that a forward may edit; not what torch keeps in the
    module, and no container that holds anything but plain data: a graph's node list is not ours to copy."""
    return {
        name: copy.deepcopy(value)
        for name, value in vars(owner).items()
        if (name == "training" or not name.startswith("_")) and _is_plain(value)
    }


def _is_plain(value: Any) -> bool:
    """Whether a value is made of Python's own scalars and containers alone."""
    if type(value) in (list, tuple, set):
        return all(_is_plain(each) for each in value)
    if type(value) is dict:
        return all(_is_plain(key) and _is_plain(each) for key, each in value.items())
    return type(value) in (bool, int, float, complex, str, type(None))


@contextmanager
def preserved_globals() -> Iterator[None]:
    """Whatever happens inside: generators, grad mode, dtype, device, threads and autocast are as before."""
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
    """The global modes that differ from ``before`` (of :func:`global_modes`): name -> (before, now)."""
    now = global_modes()
    return {name: (value, now[name]) for name, value in before.items() if now[name] != value}


def global_modes() -> dict[str, Any]:
    """The process-wide modes that a capture or a model can leave changed."""
    return {name: read() for name, (read, _) in _MODES.items()}


def _set_autocast(state: tuple[bool, torch.dtype]) -> None:
    torch.set_autocast_enabled("cpu", state[0])
    torch.set_autocast_dtype("cpu", state[1])


_MODES: dict[str, tuple[Any, Any]] = {
    "grad mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "number of threads": (torch.get_num_threads, torch.set_num_threads),
    "default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "default device": (torch.get_default_device, torch.set_default_device),
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
    """A short text that changes when torch's default generators advance."""
    states = [torch.random.get_rng_state(), *(torch.cuda.get_rng_state_all() if _uses_cuda() else ())]
    return hashlib.sha1(b"".join(bytes(state.tolist()) for state in states)).hexdigest()[:12]


def seed_everything(seed: int) -> None:
    """Seed torch's, Python's and (where it is loaded) numpy's generators."""
    torch.manual_seed(seed)
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % 2**32)
