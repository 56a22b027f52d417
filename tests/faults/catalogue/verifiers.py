"""The dialect of a program, its verifiers, and what they refuse."""

from __future__ import annotations

import torch
from torch._export.verifier import TrainingIRVerifier, Verifier
from torch.export import ExportedProgram

from tests.faults.editing import aten, call, insert_after, placeholder
from tests.faults.fault import fault


@fault("nonstrict", "layered", owner="verifiers", field="dialect")
def captured_in_the_dialect_of_lowered_programs(program: ExportedProgram) -> None:
    program._verifiers = [Verifier]


@fault("nonstrict-decompose", "layered", owner="verifiers", field="dialect")
def lowered_in_the_dialect_of_captures(program: ExportedProgram) -> None:
    program._verifiers = [TrainingIRVerifier]


@fault("nonstrict-serdes", "layered", owner="verifiers", field="dialect")
def loaded_in_another_dialect(program: ExportedProgram) -> None:
    program._verifiers = [Verifier]


@fault("nonstrict-retrace", "layered", owner="verifiers", field="dialect")
def retraced_in_another_dialect(program: ExportedProgram) -> None:
    program._verifiers = [Verifier]


@fault("nonstrict-serdes", "layered", owner="verifiers", field="changed")
def verifier_added(program: ExportedProgram) -> None:
    program._verifiers = [*program.verifiers, Verifier]


@fault("nonstrict-serdes", "layered", owner="stage", field="raised")
def verifiers_dropped(program: ExportedProgram) -> None:
    """A program without any has no dialect, and cannot be called."""
    program._verifiers = []


@fault("nonstrict-decompose", "layered", owner="verifiers", field="refused")
def mutation_left_after_lowering(program: ExportedProgram) -> None:
    """What a functional program must not have."""
    insert_after(call(program, "aten.relu"), aten.add_.Tensor, placeholder(program, "b_unused"), 1)


@fault("nonstrict-retrace", "layered", owner="verifiers", field="refused")
def python_function_called(program: ExportedProgram) -> None:
    """``torch.relu`` for the operator: the same values."""
    call(program, "aten.relu").target = torch.relu
