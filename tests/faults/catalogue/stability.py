"""Stages that change something again when they are taken again."""

from __future__ import annotations

from torch.export import ExportedProgram

from tests.faults.editing import aten, call, placeholder, rename
from tests.faults.fault import fault

_TWICE_SAVED, _TWICE_RETRACED = "nonstrict-serdes-serdes", "nonstrict-retrace-retrace"


@fault(_TWICE_SAVED, "resizing", owner="stability", field="bytes")
def guard_written_with_more_spaces(program: ExportedProgram) -> None:
    """Nothing but the bytes of the archive shows it."""
    program._guards_code = [guard.replace(" ", "  ") for guard in program._guards_code]


@fault(_TWICE_SAVED, "layered", owner="stability", field="bytes")
def weights_saved_in_another_order(program: ExportedProgram) -> None:
    program.state_dict["pair.left.weight"] = program.state_dict.pop("pair.left.weight")


@fault(_TWICE_SAVED, "layered", owner="stability", field="bytes")
def note_added_to_what_torch_annotates(program: ExportedProgram) -> None:
    """A key of torch's own, which is no annotation of the user's: only the archive has it."""
    meta = call(program, "aten.relu").meta
    meta["custom"] = {**meta.get("custom", {}), "_torchdynamo_disable_count": 1}


@fault(_TWICE_RETRACED, "layered", owner="stability", field="names")
def name_shifted_by_the_second_retrace(program: ExportedProgram) -> None:
    rename(program, call(program, "aten.sub"), "sub_again")


@fault(_TWICE_RETRACED, "layered", owner="stability", field="signature")
def placeholder_renamed_by_the_second_retrace(program: ExportedProgram) -> None:
    rename(program, placeholder(program, "b_scale"), "b_scale_1")


@fault(_TWICE_RETRACED, "layered", owner="stability", field="module_call_graph")
def modules_reordered_by_the_second_retrace(program: ExportedProgram) -> None:
    program.module_call_graph[1:] = program.module_call_graph[:0:-1]


@fault(_TWICE_RETRACED, "viewing", owner="stability", field="targets")
def overload_changed_by_the_second_retrace(program: ExportedProgram) -> None:
    call(program, "aten.add.Tensor").target = aten.add.Scalar
