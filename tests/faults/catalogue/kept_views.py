"""Layouts, views, order and module stacks that are wrong where much is allowed: at other sizes, of state that is a view, of nodes
without an origin."""

from __future__ import annotations

import torch
from torch.export import ExportedProgram

from tests.faults.editing import call, faked, follow, placeholder, set_state, swap_inputs
from tests.faults.fault import fault


@fault("nonstrict", "imaged", owner="val", field="stride")
def channels_last_input_said_to_be_contiguous(program: ExportedProgram) -> None:
    node = placeholder(program, "x")
    node.meta["val"] = node.meta["val"].contiguous()


@fault("nonstrict", "imaged", owner="val", field="stride")
def view_in_state_said_to_be_dense(program: ExportedProgram) -> None:
    node = placeholder(program, "b_shift")
    node.meta["val"] = faked(node.meta["val"], stride=(3, 3, 3, 1))


@fault("nonstrict", "imaged", owner="outputs", field="stride")
def channels_last_output_made_contiguous(program: ExportedProgram) -> None:
    node = call(program, "aten.relu")
    follow(program, node, torch.ops.aten.contiguous.default)


@fault("nonstrict-serdes", "imaged", owner="state", field="stride of a view")
def view_in_state_made_dense_by_a_file(program: ExportedProgram) -> None:
    set_state(program, "shift", lambda tensor: tensor.clone())


@fault("nonstrict-serdes", "imaged", owner="state", field="unshared")
def view_in_state_copied(program: ExportedProgram) -> None:
    set_state(program, "left", lambda tensor: tensor.clone())


@fault("nonstrict", "layered", owner="state", field="order")
def parameters_captured_in_another_order(program: ExportedProgram) -> None:
    swap_inputs(program, "p_pair_left_weight", "p_pair_left_bias")


@fault("nonstrict-decompose", "layered", owner="metadata", field="nn_module_stack")
def module_stack_dropped_with_the_origin(program: ExportedProgram) -> None:
    meta = call(program, "aten.sub").meta
    del meta["from_node"], meta["nn_module_stack"]


@fault("nonstrict-decompose", "layered", owner="metadata", field="nn_module_stack")
def module_stack_falsified_and_the_origin_dropped(program: ExportedProgram) -> None:
    meta = call(program, "aten.sub").meta
    del meta["from_node"]
    meta["nn_module_stack"] = {"L__self__": ("pair.middle", "torch.nn.modules.linear.Linear")}


@fault("nonstrict-decompose", "layered", owner="metadata", field="nn_module_stack")
def module_stack_of_a_lowered_operation_dropped(program: ExportedProgram) -> None:
    del call(program, "aten.sub").meta["nn_module_stack"]
