"""The graph signature: kinds, targets, order, persistence, and agreement with the graph."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind, SymIntArgument

from tests.faults.editing import drop_output, input_spec, output_specs, placeholder, rename, swap_inputs
from tests.faults.fault import fault


def _replace_input(program: ExportedProgram, of: str, **changes: object) -> None:
    specs = program.graph_signature.input_specs
    place = specs.index(input_spec(program, of))
    specs[place] = replace(specs[place], **changes)


def _replace_output(program: ExportedProgram, place: int, **changes: object) -> None:
    specs = program.graph_signature.output_specs
    specs[place] = replace(specs[place], **changes)


def _swap_targets(program: ExportedProgram, one: str, other: str) -> None:
    specs = program.graph_signature.input_specs
    first, second = specs.index(input_spec(program, one)), specs.index(input_spec(program, other))
    specs[first], specs[second] = replace(specs[first], target=other), replace(specs[second], target=one)


@fault("nonstrict-serdes", "layered", owner="signature", field="kind")
def buffer_becomes_constant(program: ExportedProgram) -> None:
    _replace_input(program, "scale", kind=InputKind.CONSTANT_TENSOR, persistent=None)
    program.constants["scale"] = program.state_dict.pop("scale")


@fault("nonstrict-serdes", "layered", owner="signature", field="kind")
def parameter_becomes_buffer(program: ExportedProgram) -> None:
    _replace_input(program, "pair.left.bias", kind=InputKind.BUFFER, persistent=True)


@fault("nonstrict-serdes", "layered", owner="signature", field="persistent")
def persistent_buffer_becomes_non_persistent(program: ExportedProgram) -> None:
    _replace_input(program, "scale", persistent=False)
    program.constants["scale"] = program.state_dict.pop("scale")


@fault("nonstrict-decompose", "layered", owner="signature", field="persistent")
def non_persistent_buffer_becomes_persistent(program: ExportedProgram) -> None:
    _replace_input(program, "shift", persistent=True)
    program.state_dict["shift"] = program.constants.pop("shift")


@fault("nonstrict", "layered", owner="signature", field="persistent")
def non_persistent_buffer_captured_as_persistent(program: ExportedProgram) -> None:
    _replace_input(program, "shift", persistent=True)
    program.state_dict["shift"] = program.constants.pop("shift")


@fault("nonstrict-serdes", "layered", owner="signature", field="target")
def targets_of_two_weights_swapped(program: ExportedProgram) -> None:
    _swap_targets(program, "pair.left.weight", "pair.right.weight")


@fault("nonstrict-decompose", "layered", owner="signature", field="target")
def targets_of_two_biases_swapped_by_lowering(program: ExportedProgram) -> None:
    _swap_targets(program, "pair.left.bias", "pair.right.bias")


@fault("nonstrict-retrace", "layered", owner="signature", field="dropped")
def parameter_retraced_under_another_name(program: ExportedProgram) -> None:
    _replace_input(program, "pair.left.weight", target="pair.left.kernel")
    program.state_dict["pair.left.kernel"] = program.state_dict.pop("pair.left.weight")


@fault("nonstrict-retrace", "layered", owner="signature", field="dropped")
def buffer_retraced_as_constant(program: ExportedProgram) -> None:
    _replace_input(program, "scale", kind=InputKind.CONSTANT_TENSOR, persistent=None)
    program.constants["scale"] = program.state_dict.pop("scale")


@fault("nonstrict-retrace", "layered", owner="signature", field="dropped")
def unused_buffer_forgotten_by_retrace(program: ExportedProgram) -> None:
    _forget_unused(program)


@fault("nonstrict-serdes", "layered", owner="signature", field="dropped")
def unused_buffer_forgotten(program: ExportedProgram) -> None:
    _forget_unused(program)


def _forget_unused(program: ExportedProgram) -> None:
    """The buffer stays in the state; nothing of the program names it."""
    program.graph_signature.input_specs.remove(input_spec(program, "unused"))
    program.graph.erase_node(placeholder(program, "b_unused"))


@fault("nonstrict-serdes", "layered", owner="signature", field="state_order")
def parameters_in_another_order(program: ExportedProgram) -> None:
    swap_inputs(program, "p_pair_left_weight", "p_pair_left_bias")


@fault("nonstrict-serdes", "layered", owner="signature", field="order")
def inputs_in_another_order(program: ExportedProgram) -> None:
    swap_inputs(program, "x", "y")


@fault("nonstrict-decompose", "layered", owner="signature", field="order")
def inputs_lowered_in_another_order(program: ExportedProgram) -> None:
    swap_inputs(program, "x", "y")


@fault("nonstrict-serdes", "layered", owner="signature", field="name")
def name_that_is_no_placeholder(program: ExportedProgram) -> None:
    spec = input_spec(program, "unused")
    _replace_input(program, "unused", arg=replace(spec.arg, name="b_other"))


@fault("nonstrict", "layered", owner="signature", field="name")
def captured_name_that_is_no_placeholder(program: ExportedProgram) -> None:
    spec = input_spec(program, "unused")
    _replace_input(program, "unused", arg=replace(spec.arg, name="b_other"))


@fault("nonstrict", "layered", owner="signature", field="name")
def captured_name_that_is_no_output(program: ExportedProgram) -> None:
    spec = program.graph_signature.output_specs[0]
    _replace_output(program, 0, arg=replace(spec.arg, name="add"))


@fault("nonstrict-retrace", "layered", owner="signature", field="name")
def specs_of_two_outputs_swapped(program: ExportedProgram) -> None:
    specs = program.graph_signature.output_specs
    specs[0], specs[1] = specs[1], specs[0]


@fault("nonstrict", "layered", owner="signature", field="target")
def target_that_no_module_has(program: ExportedProgram) -> None:
    _replace_input(program, "pair.left.weight", target="pair.left.kernel")
    program.state_dict["pair.left.kernel"] = program.state_dict.pop("pair.left.weight")


@fault("nonstrict", "layered", owner="signature", field="kind")
def parameter_captured_as_buffer(program: ExportedProgram) -> None:
    _replace_input(program, "pair.left.bias", kind=InputKind.BUFFER, persistent=True)


@fault("nonstrict", "layered", owner="signature")
def buffer_captured_as_constant(program: ExportedProgram) -> None:
    _replace_input(program, "scale", kind=InputKind.CONSTANT_TENSOR, persistent=None)
    program.constants["scale"] = program.state_dict.pop("scale")


@fault("nonstrict", "layered", owner="stage", field="raised")
def output_without_a_spec(program: ExportedProgram) -> None:
    """A program that no module can be made of: the stage itself says so."""
    program.graph_signature.output_specs.pop()


@fault("nonstrict-decompose-serdes", "counting", owner="signature", field="target")
def mutation_of_another_buffer(program: ExportedProgram) -> None:
    one, other = output_specs(program, OutputKind.BUFFER_MUTATION)
    specs = program.graph_signature.output_specs
    specs[0], specs[1] = replace(one, target=other.target), replace(other, target=one.target)


@fault("nonstrict-decompose-serdes", "counting", owner="signature", field="dropped")
def mutation_forgotten(program: ExportedProgram) -> None:
    drop_output(program, 2)


@fault("nonstrict-decompose", "layered", owner="signature", field="number")
def output_forgotten_by_lowering(program: ExportedProgram) -> None:
    drop_output(program, 2)
    signature = program.module_call_graph[0].signature
    signature.out_spec = torch.utils._pytree.tree_structure((0, 0))


@fault("nonstrict-decompose-serdes", "counting", owner="signature", field="kind")
def mutation_becomes_an_output(program: ExportedProgram) -> None:
    _replace_output(program, 2, kind=OutputKind.USER_OUTPUT, target=None)


@fault("nonstrict-serdes", "layered", owner="signature", field="value")
def returned_number_changed_in_the_signature(program: ExportedProgram) -> None:
    """The graph still returns what it did."""
    program.graph_signature.output_specs[2].arg.value = 4


@fault("nonstrict-serdes", "layered", owner="signature", field="value")
def output_said_to_be_a_number(program: ExportedProgram) -> None:
    name = program.graph_signature.output_specs[0].arg.name
    _replace_output(program, 0, arg=SymIntArgument(name))


@fault("nonstrict-serdes", "layered", owner="signature", field="dropped")
def constant_renamed_in_the_signature(program: ExportedProgram) -> None:
    rename(program, placeholder(program, "c_table"), "c_other")
    _replace_input(program, "table", target="other")
    program.constants["other"] = program.constants.pop("table")


@fault("nonstrict-serdes", "layered", ledger="signature.constant_persistent")
def persistence_of_a_constant(program: ExportedProgram) -> None:
    _replace_input(program, "table", persistent=False)


@fault("nonstrict-decompose", "layered", ledger="signature.state_order")
def state_lowered_in_another_order(program: ExportedProgram) -> None:
    swap_inputs(program, "b_shift", "b_unused")
