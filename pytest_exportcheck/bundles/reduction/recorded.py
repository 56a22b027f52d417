"""The values that the nodes of a program yield in each of several calls, in which state is carried over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.export.graph_signature import InputKind, OutputKind

from pytest_exportcheck.bundles.reduction.draft import Candidate
from pytest_exportcheck.describe.graph_inputs import graph_inputs, writes_to_arguments
from pytest_exportcheck.harness.isolation import quiet
from pytest_exportcheck.harness.process_state import preserved_globals, seed_everything
from pytest_exportcheck.harness.tensors import copy_tree
from pytest_exportcheck.harness.tensors.copies import set_requires_grad
from pytest_exportcheck.locate.sides import SteppedRun

_CARRIED = {OutputKind.BUFFER_MUTATION, OutputKind.PARAMETER_MUTATION}


@dataclass(frozen=True, eq=False)
class Recording:
    """The values of the nodes by name, one mapping for each call, and the state before each call."""

    values: tuple[Mapping[str, Any], ...]
    states: tuple[Mapping[str, torch.Tensor], ...]

    def of(self, name: str) -> tuple[Any, ...]:
        """Return the values of a node."""
        return tuple(each[name] for each in self.values)


def record(candidate: Candidate, seed: int = 0) -> Recording:
    """Run a program node by node on its calls."""
    program = candidate.program
    writes = writes_to_arguments(program)
    state: dict[str, torch.Tensor] = {}
    values, states = [], []
    with preserved_globals(), quiet():
        for number, call in enumerate(candidate.calls):
            states.append(dict(state))
            seed_everything(seed + number)
            run = SteppedRun(program.graph_module, graph_inputs(program, call, state), writes=writes)
            values.append({node.name: _kept(value) for node, value in run.steps() if node.op != "output"})
            state = _state_after(candidate, run)
    return Recording(tuple(values), tuple(states))


def _kept(value: Any) -> Any:
    """Copy a value, as leaves that require grad where it does."""
    if not isinstance(value, torch.Tensor):
        return value
    copy: torch.Tensor = copy_tree(value.detach())
    if value.requires_grad:
        set_requires_grad(copy, True)
    return copy


def _state_after(candidate: Candidate, run: SteppedRun) -> dict[str, torch.Tensor]:
    signature = candidate.program.graph_signature
    state = {
        spec.target: _kept(value)
        for spec, value in zip(signature.input_specs, run.inputs, strict=True)
        if spec.kind in (InputKind.BUFFER, InputKind.PARAMETER) and isinstance(value, torch.Tensor)
    }
    returned = run.returned if isinstance(run.returned, (tuple, list)) else ()
    for spec, value in zip(signature.output_specs, returned, strict=False):
        if spec.kind in _CARRIED:
            state[spec.target] = _kept(value)
    return state
