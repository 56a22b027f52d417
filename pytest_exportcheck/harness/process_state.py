"""Process-wide state that a capture or a model can change: global modes and generators, read, seeded and put back."""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from pytest_exportcheck.harness._torch import default_device


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
