"""Wrong values made in the middle of a program: each has one node that is at fault."""

from __future__ import annotations

import torch
from torch.export import ExportedProgram

from tests.faults.editing import (
    aten,
    call,
    call_instead,
    calls,
    follow,
    insert_before,
    set_argument,
    subgraphs,
)
from tests.faults.fault import fault


@fault("nonstrict", "attending", owner="outputs", field="value")
def operands_of_attention_swapped(program: ExportedProgram) -> None:
    node = call(program, "aten.scaled_dot_product_attention", 1)
    node.args = (node.args[1], node.args[0], node.args[2])


@fault("nonstrict-decompose", "attending", owner="outputs", field="value")
def second_layer_approximates_gelu(program: ExportedProgram) -> None:
    call(program, "aten.gelu", 1).kwargs = {"approximate": "tanh"}


@fault("nonstrict-serdes", "attending", owner="outputs", field="value")
def weight_of_another_layer(program: ExportedProgram) -> None:
    node, other = call(program, "aten.linear", 1), call(program, "aten.linear", 2)
    set_argument(node, 1, other.args[1])


@fault("nonstrict-decompose", "attending", owner="outputs", field="value")
def residual_of_the_wrong_layer(program: ExportedProgram) -> None:
    node = calls(program.graph, "aten.add")[-1]
    set_argument(node, 0, next(each for each in program.graph.nodes if each.name == "x"))


@fault("nonstrict-retrace", "attending", owner="outputs", field="value")
def constant_of_a_product_changed(program: ExportedProgram) -> None:
    set_argument(call(program, "aten.mul"), 1, 4.0001)


@fault("nonstrict", "attending", owner="outputs", field="value")
def nan_made_in_the_middle(program: ExportedProgram) -> None:
    gelu = call(program, "aten.gelu", 1)
    set_argument(gelu, 0, insert_before(gelu, aten.sqrt.default, gelu.args[0]))


@fault("nonstrict-decompose", "attending", owner="outputs", field="value")
def nan_made_below_autograd(program: ExportedProgram) -> None:
    follow(program, call(program, "aten.gelu"), aten.log.default)


@fault("nonstrict-serdes", "attending", owner="outputs", field="value")
def infinity_made_in_the_middle(program: ExportedProgram) -> None:
    node = call(program, "aten.mul", 1)
    set_argument(node, 1, 1e39)


@fault("nonstrict-decompose", "attending", owner="outputs", field="value")
def softmax_without_the_largest_value(program: ExportedProgram) -> None:
    """The exponential of large numbers, without the shift that keeps them finite."""
    gelu = call(program, "aten.gelu")
    large = insert_before(gelu, aten.mul.Tensor, gelu.args[0], 1000.0)
    power = insert_before(gelu, aten.exp.default, large)
    set_argument(gelu, 0, insert_before(gelu, aten.log.default, power))


@fault("nonstrict-decompose", "attending", owner="outputs", field="value")
def difference_of_squares_that_cancels(program: ExportedProgram) -> None:
    """``(x + c) - c`` with a large c."""
    gelu = call(program, "aten.gelu", 1)
    shifted = insert_before(gelu, aten.add.Tensor, gelu.args[0], 1e6)
    set_argument(gelu, 0, insert_before(gelu, aten.sub.Tensor, shifted, 1e6))


@fault("nonstrict-decompose", "imaged", owner="outputs", field="value")
def slice_moved_by_one(program: ExportedProgram) -> None:
    node = call(program, "aten.slice")
    set_argument(node, 2, 0)
    set_argument(node, 3, 3)


@fault("nonstrict", "imaged", owner="outputs", field="value")
def addition_became_a_subtraction(program: ExportedProgram) -> None:
    node = call(program, "aten.add", 1)
    call_instead(program, node, aten.sub.Tensor, *node.args)


@fault("nonstrict-retrace", "imaged", owner="outputs", field="value")
def relu_became_leaky(program: ExportedProgram) -> None:
    node = call(program, "aten.relu")
    call_instead(program, node, aten.leaky_relu.default, node.args[0], 1e-4)


@fault("nonstrict-serdes", "branching", owner="outputs", field="value")
def factor_in_a_branch_changed(program: ExportedProgram) -> None:
    for graph in subgraphs(program):
        for node in [*calls(graph.graph, "aten.mul"), *calls(graph.graph, "aten.div")]:
            set_argument(node, 1, 2.5)


@fault("nonstrict-decompose", "branching", owner="outputs", field="value")
def branch_negated_below_autograd(program: ExportedProgram) -> None:
    for graph in subgraphs(program):
        for node in calls(graph.graph, "aten.sub"):
            node.args = node.args[::-1]


@fault("nonstrict-serdes", "branching", owner="outputs", field="value")
def branches_swapped(program: ExportedProgram) -> None:
    node = call(program, "cond")
    node.args = (node.args[0], node.args[2], node.args[1], *node.args[3:])


@fault("nonstrict-retrace", "layered", owner="outputs", field="value")
def one_element_off_by_one_ulp(program: ExportedProgram) -> None:
    follow(program, call(program, "aten.linear", 1), aten.nextafter.default, call(program, "aten.linear"))


@fault("nonstrict-decompose", "normed", owner="outputs", field="value")
def bias_of_a_norm_forgotten(program: ExportedProgram) -> None:
    set_argument(call(program, "aten.native_layer_norm"), 3, None)
    set_argument(call(program, "aten.native_layer_norm"), 4, 1e-2)


@fault("nonstrict-serdes", "gated", owner="outputs", field="value")
def sum_became_a_mean(program: ExportedProgram) -> None:
    node = call(program, "aten.sum")
    call_instead(program, node, aten.mean.default, node.args[0])


@fault("nonstrict-decompose", "imaged", owner="outputs", field="value")
def input_rounded_to_half_precision(program: ExportedProgram) -> None:
    node = call(program, "aten.relu")
    half = insert_before(node, aten._to_copy.default, node.args[0], dtype=torch.float16)
    set_argument(node, 0, insert_before(node, aten._to_copy.default, half, dtype=torch.float32))


@fault("nonstrict-decompose", "attending", owner="gradients", field="value")
def gradient_of_a_layer_tripled(program: ExportedProgram) -> None:
    """The same value to the bit, ``y + 2 * (y - y.detach())``"""
    gelu = call(program, "aten.gelu")
    mul = next(iter(gelu.users))
    still = insert_before(mul, aten.detach.default, gelu)
    gone = insert_before(mul, aten.sub.Tensor, gelu, still)
    twice = insert_before(mul, aten.mul.Tensor, gone, 2)
    set_argument(mul, 0, insert_before(mul, aten.add.Tensor, gelu, twice))
