"""The example inputs that a program carries."""

from __future__ import annotations

from typing import Any

import torch
import torch.utils._pytree as pytree
from torch.export import ExportedProgram

from tests.faults.editing import next_float
from tests.faults.fault import fault


def _set_first(program: ExportedProgram, value: Any) -> None:
    args, kwargs = program.example_inputs
    program._example_inputs = ((value, *args[1:]), kwargs)


@fault("nonstrict-serdes", "layered", owner="examples", field="dropped")
def examples_dropped(program: ExportedProgram) -> None:
    program._example_inputs = None


@fault("nonstrict-decompose", "layered", owner="examples", field="dropped")
def examples_dropped_by_lowering(program: ExportedProgram) -> None:
    program._example_inputs = None


@fault("nonstrict-serdes", "layered", owner="examples", field="value")
def example_one_ulp_off(program: ExportedProgram) -> None:
    _set_first(program, next_float(program.example_inputs[0][0]))


@fault("nonstrict", "counting", owner="examples", field="value")
def example_as_the_capture_left_it(program: ExportedProgram) -> None:
    """An input that forward writes to, written down after it did."""
    args, kwargs = program.example_inputs
    program._example_inputs = ((args[0], args[1] * 2), kwargs)


@fault("nonstrict-serdes", "layered", owner="examples", field="dtype")
def example_in_double_precision(program: ExportedProgram) -> None:
    _set_first(program, program.example_inputs[0][0].double())


@fault("nonstrict-serdes", "layered", owner="examples", field="stride")
def example_in_another_memory_layout(program: ExportedProgram) -> None:
    _set_first(program, program.example_inputs[0][0].t().contiguous().t())


@fault("nonstrict-serdes", "layered", owner="examples", field="value")
def examples_swapped(program: ExportedProgram) -> None:
    args, kwargs = program.example_inputs
    program._example_inputs = ((args[0] + 1, args[0]), kwargs)


@fault("nonstrict-serdes", "structured", owner="examples", field="dropped")
def one_example_of_a_dict_dropped(program: ExportedProgram) -> None:
    (pair, named), kwargs = program.example_inputs
    program._example_inputs = ((pair, {"one": named["one"]}), kwargs)


@fault("nonstrict-serdes", "structured", owner="examples")
def list_of_examples_becomes_tuple(program: ExportedProgram) -> None:
    _set_first(program, tuple(program.example_inputs[0][0]))


@fault("nonstrict-decompose", "learning", owner="examples", field="requires_grad")
def example_without_grad(program: ExportedProgram) -> None:
    program._example_inputs = pytree.tree_map_only(torch.Tensor, torch.Tensor.detach, program.example_inputs)


@fault("nonstrict", "structured", owner="examples", field="added")
def example_added_by_capture(program: ExportedProgram) -> None:
    (pair, named), kwargs = program.example_inputs
    program._example_inputs = ((pair, {**named, "three": named["one"]}), kwargs)
