"""Quantised weights that a step changes, copies or keeps in part: behind the leniency for wrapped tensors that lowering takes apart."""

from __future__ import annotations

import torch
from torch.export import ExportedProgram

from tests.faults.editing import calls, set_state
from tests.faults.fault import fault
from tests.scaled import Scaled

_NUMBERS = "second.parametrizations.weight.original0"
_SCALE = "second.parametrizations.weight.original1"


def _one_number_off(numbers: torch.Tensor) -> torch.Tensor:
    changed = numbers.clone()
    changed[1, 2] += 1
    return changed


@fault("nonstrict-serdes", "quantised", owner="state", field="value")
def scale_of_a_quantised_weight_off(program: ExportedProgram) -> None:
    set_state(program, "second.weight", lambda weight: Scaled(weight.numbers, weight.scale * 1.001))  # type: ignore[attr-defined]


@fault("nonstrict-serdes", "quantised", owner="state", field="value")
def scale_of_a_quantised_weight_dropped(program: ExportedProgram) -> None:
    set_state(
        program,
        "second.weight",
        lambda weight: Scaled(weight.numbers, torch.ones_like(weight.scale)),  # type: ignore[attr-defined]
    )


@fault("nonstrict", "quantised", owner="state", field="value")
def number_of_a_quantised_weight_off(program: ExportedProgram) -> None:
    set_state(program, "second.weight", lambda weight: Scaled(_one_number_off(weight.numbers), weight.scale))  # type: ignore[attr-defined]


@fault("nonstrict-decompose", "quantised", owner="state", field="dropped")
def unwrapped_scale_off(program: ExportedProgram) -> None:
    set_state(program, _SCALE, lambda scale: scale * 1.001)


@fault("nonstrict-decompose", "quantised", owner="state", field="dropped")
def unwrapped_number_off(program: ExportedProgram) -> None:
    set_state(program, _NUMBERS, _one_number_off)


@fault("nonstrict-decompose", "quantised", owner="state", field="dropped")
def unwrapped_numbers_copied(program: ExportedProgram) -> None:
    """Twice the memory: the program no longer shares the weights of the module."""
    set_state(program, _NUMBERS, torch.clone)


@fault("nonstrict-decompose-serdes", "quantised", owner="state", field="value")
def unwrapped_scale_off_in_the_file(program: ExportedProgram) -> None:
    set_state(program, _SCALE, lambda scale: scale * 1.001)


@fault("nonstrict-serdes", "quantised", owner="metadata", field="custom")
def annotation_of_a_fetched_part_gained_in_the_file(program: ExportedProgram) -> None:
    """Lowering takes these nodes apart; a file is to say of them what the program said."""
    calls(program.graph, "export.access_subclass_inner_tensor")[0].meta["custom"] = {"made": "up"}
