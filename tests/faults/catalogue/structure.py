"""Outputs in other containers, or in each other's place."""

from __future__ import annotations

import collections
from typing import Any

import torch.utils._pytree as pytree
from torch.export import ExportedProgram

from tests.faults.editing import drop_output, output, reshape_output, returned
from tests.faults.fault import fault

Limits = collections.namedtuple("Limits", ["low", "high"])

pytree._register_namedtuple(Limits, serialized_type_name="tests.faults.Limits")


@fault("nonstrict-serdes", "structured", owner="outputs", field="structure")
def list_becomes_tuple(program: ExportedProgram) -> None:
    reshape_output(program, lambda outputs: {**outputs, "list": tuple(outputs["list"])})


@fault("nonstrict-retrace", "structured", owner="outputs", field="structure")
def tuple_becomes_list(program: ExportedProgram) -> None:
    reshape_output(program, lambda outputs: {**outputs, "tuple": list(outputs["tuple"])})


@fault("nonstrict-serdes", "structured", owner="outputs", field="structure")
def dict_in_another_order(program: ExportedProgram) -> None:
    reshape_output(program, lambda outputs: dict(reversed(outputs.items())))


@fault("nonstrict-serdes", "structured", owner="outputs", field="structure")
def dict_becomes_ordered_dict(program: ExportedProgram) -> None:
    reshape_output(program, collections.OrderedDict)


@fault("nonstrict-decompose", "structured", owner="outputs", field="structure")
def dataclass_becomes_dict(program: ExportedProgram) -> None:
    reshape_output(program, lambda outputs: {**outputs, "scores": vars(outputs["scores"])})


@fault("nonstrict", "structured", owner="outputs", field="structure")
def namedtuple_becomes_tuple(program: ExportedProgram) -> None:
    reshape_output(program, lambda outputs: {**outputs, "bounds": tuple(outputs["bounds"])})


@fault("nonstrict-serdes", "structured", owner="outputs", field="structure")
def namedtuple_of_another_type(program: ExportedProgram) -> None:
    reshape_output(program, lambda outputs: {**outputs, "bounds": Limits(*outputs["bounds"])})


@fault("nonstrict", "structured", owner="outputs", field="structure")
def tuple_of_one_unpacked(program: ExportedProgram) -> None:
    reshape_output(program, lambda outputs: {**outputs, "tuple": outputs["tuple"][0]})


@fault("nonstrict-decompose", "structured", owner="outputs", field="structure")
def none_dropped(program: ExportedProgram) -> None:
    drop_output(program, len(returned(program)) - 1)
    signature = program.module_call_graph[0].signature
    outputs = pytree.tree_unflatten([0] * signature.out_spec.num_leaves, signature.out_spec)
    signature.out_spec = pytree.tree_structure({key: value for key, value in outputs.items() if key != "none"})


@fault("nonstrict-retrace", "structured", owner="outputs", field="structure")
def key_of_a_dict_renamed(program: ExportedProgram) -> None:
    def change(outputs: dict[str, Any]) -> dict[str, Any]:
        return {"lists" if key == "list" else key: value for key, value in outputs.items()}

    reshape_output(program, change)


@fault("nonstrict-retrace", "structured", owner="outputs", field="structure")
def nesting_flattened(program: ExportedProgram) -> None:
    reshape_output(program, pytree.tree_leaves)


@fault("nonstrict-decompose", "structured", owner="outputs", field="value")
def fields_of_a_dataclass_swapped(program: ExportedProgram) -> None:
    _swap_outputs(program, 0, 1)


@fault("nonstrict", "layered", owner="outputs", field="value")
def outputs_of_equal_shape_swapped(program: ExportedProgram) -> None:
    _swap_outputs(program, 0, 1)


def _swap_outputs(program: ExportedProgram, one: int, other: int) -> None:
    values, specs = returned(program), program.graph_signature.output_specs
    values[one], values[other] = values[other], values[one]
    specs[one], specs[other] = specs[other], specs[one]
    output(program).args = (tuple(values),)
