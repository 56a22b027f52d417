"""The state of a module: parameters, buffers and constants under their names, and as fakes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from pytest_exportcheck.reference._torch.values import FakeTensorMode, non_persistent_buffers


@dataclass(frozen=True)
class State:
    """``parameters`` and ``buffers`` by every name, tied ones too; ``constants`` are tensors and objects that are
    neither.
    """

    parameters: Mapping[str, torch.nn.Parameter]
    buffers: Mapping[str, torch.Tensor]
    not_persistent: frozenset[str]
    constants: Mapping[str, Any]
    modules: tuple[str, ...]

    @property
    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return the state of the program, by the names that the graph signature has for it: the hooks of the module's
        own ``state_dict`` may rename, copy, add or drop entries.
        """
        return {name: tensor for name, tensor in self.tensors.items() if name not in self.not_persistent}

    @property
    def tensors(self) -> dict[str, torch.Tensor]:
        """Return parameters, then buffers: in this order they are inputs of the graph."""
        return {**self.parameters, **self.buffers}


def state_of(module: torch.nn.Module) -> State:
    """Collect the parameters, buffers and constants of a module."""
    buffers = dict(module.named_buffers(remove_duplicate=False))
    parameters = dict(module.named_parameters(remove_duplicate=False))
    not_persistent = {
        f"{path}.{name}" if path else name
        for path, part in module.named_modules(remove_duplicate=False)
        for name in non_persistent_buffers(part)
    }
    return State(
        parameters,
        buffers,
        frozenset(not_persistent & buffers.keys()),
        dict(_constants(module, {id(each) for each in (*parameters.values(), *buffers.values())})),
        tuple(path for path, _ in module.named_modules(remove_duplicate=False)),
    )


def _constants(module: torch.nn.Module, known: set[int]) -> Iterator[tuple[str, Any]]:
    """Yield tensors and script objects that are plain attributes."""
    for path, part in module.named_modules(remove_duplicate=False):
        for name, value in vars(part).items():
            if isinstance(value, (torch.Tensor, torch.ScriptObject)) and id(value) not in known:
                yield (f"{path}.{name}" if path else name), value


def fake_state(mode: FakeTensorMode, state: State) -> dict[str, torch.Tensor]:
    """Return the tensors as fakes of fixed sizes; the mode has one fake for tied tensors."""
    return {name: mode.from_tensor(tensor, static_shapes=True) for name, tensor in state.tensors.items()}
