"""Outputs that share storage where they should not, or no longer do."""

from __future__ import annotations

from torch.export import ExportedProgram

from tests.faults.editing import aten, call, call_instead, follow, placeholder, set_argument, use_instead
from tests.faults.fault import fault


@fault("nonstrict", "viewing", owner="aliasing", field="broken")
def view_of_an_input_copied(program: ExportedProgram) -> None:
    follow(program, call(program, "aten.view"), aten.clone.default)


@fault("nonstrict-serdes", "viewing", owner="aliasing", field="broken")
def view_of_a_buffer_copied(program: ExportedProgram) -> None:
    follow(program, call(program, "aten.view", 1), aten.clone.default)


@fault("nonstrict-decompose", "viewing", owner="aliasing", field="broken")
def view_of_an_output_copied(program: ExportedProgram) -> None:
    follow(program, call(program, "aten.view", 2), aten.clone.default)


@fault("nonstrict", "viewing", owner="aliasing", field="new")
def copy_becomes_a_view_of_the_input(program: ExportedProgram) -> None:
    call_instead(program, call(program, "aten.clone"), aten.view.default, placeholder(program, "x"), [2, 3])


@fault("nonstrict-retrace", "viewing", owner="aliasing", field="new")
def input_returned_instead_of_a_copy(program: ExportedProgram) -> None:
    use_instead(program, call(program, "aten.clone"), placeholder(program, "x"))


@fault("nonstrict-decompose", "viewing", owner="aliasing", field="new")
def copy_becomes_a_view_of_the_buffer(program: ExportedProgram) -> None:
    call_instead(program, call(program, "aten.clone", 1), aten.view.default, placeholder(program, "b_held"), [2, 3])


@fault("nonstrict-serdes", "viewing", owner="aliasing", field="new")
def one_copy_for_two_outputs(program: ExportedProgram) -> None:
    view, copied = call(program, "aten.view"), call(program, "aten.clone")
    set_argument(view, 0, copied)
    copied.append(view)
