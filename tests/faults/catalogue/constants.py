"""The tensors that a program carries beside the state of its module."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.export import ExportedProgram

from tests.faults.editing import input_spec, next_float, set_state
from tests.faults.fault import fault


@fault("nonstrict-serdes", "layered", owner="constants", field="value")
def constant_one_ulp_off(program: ExportedProgram) -> None:
    set_state(program, "table", next_float)


@fault("nonstrict-decompose", "layered", owner="constants", field="value")
def constant_lowered_to_another_value(program: ExportedProgram) -> None:
    set_state(program, "lifted_tensor_0", next_float)


@fault("nonstrict-retrace", "layered", owner="constants", field="dropped")
def constant_retraced_with_another_value(program: ExportedProgram) -> None:
    set_state(program, "table", next_float)


@fault("nonstrict-serdes", "layered", owner="constants", field="value")
def constants_of_equal_shape_swapped(program: ExportedProgram) -> None:
    held = program.constants
    held["table"], held["lifted_tensor_0"] = held["lifted_tensor_0"], held["table"]


@fault("nonstrict-serdes", "layered", owner="constants", field="dropped")
def constant_renamed(program: ExportedProgram) -> None:
    specs = program.graph_signature.input_specs
    place = specs.index(input_spec(program, "table"))
    specs[place] = replace(specs[place], target="other")
    program.constants["other"] = program.constants.pop("table")


@fault("nonstrict-serdes", "layered", owner="constants", field="added")
def constant_added(program: ExportedProgram) -> None:
    program.constants["spare"] = torch.zeros(2)


@fault("nonstrict-serdes", "layered", owner="constants", field="dtype")
def constant_of_another_dtype(program: ExportedProgram) -> None:
    set_state(program, "table", torch.Tensor.double)


@fault("nonstrict-serdes", "layered", owner="constants", field="shape")
def constant_of_another_shape(program: ExportedProgram) -> None:
    set_state(program, "table", lambda tensor: tensor.reshape(1, 3))


@fault("nonstrict-serdes", "layered", owner="constants", field="requires_grad")
def constant_made_trainable(program: ExportedProgram) -> None:
    set_state(program, "table", lambda tensor: tensor.clone().requires_grad_())


@fault("nonstrict", "layered", owner="stage", field="raised")
def constant_forgotten_by_capture(program: ExportedProgram) -> None:
    """A program that nothing can be made of: the stage itself says so."""
    del program.constants["table"]


@fault("nonstrict", "layered", owner="outputs", field="value")
def constant_captured_with_another_value(program: ExportedProgram) -> None:
    set_state(program, "table", next_float)


@fault("nonstrict-serdes", "layered", owner="constants", field="stride")
def constant_in_another_memory_layout(program: ExportedProgram) -> None:
    set_state(program, "table", lambda tensor: torch.stack([tensor, tensor], dim=1)[:, 0])
