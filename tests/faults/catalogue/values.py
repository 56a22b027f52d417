"""Wrong values, types and sizes of outputs."""

from __future__ import annotations

import operator

import torch
from torch.export import ExportedProgram

from tests.faults.editing import (
    aten,
    call,
    call_instead,
    follow,
    insert_after,
    insert_before,
    lift,
    placeholder,
    set_argument,
    set_output,
    use_instead,
)
from tests.faults.fault import fault


@fault("nonstrict", "layered", owner="outputs", field="value")
def one_ulp_off(program: ExportedProgram) -> None:
    """Every element of an output is the next float towards those of another tensor."""
    follow(program, call(program, "aten.add", 3), aten.nextafter.default, call(program, "aten.sub"))


@fault("nonstrict-serdes", "layered", owner="outputs", field="value")
def one_element_zeroed(program: ExportedProgram) -> None:
    follow(program, call(program, "aten.add", 3), aten.triu.default, -1)


@fault("nonstrict", "layered", owner="outputs", field="value")
def sign_of_zero(program: ExportedProgram) -> None:
    """``x * (x > 0)`` for ``relu(x)``: minus zero for negative numbers."""
    relu = call(program, "aten.relu")
    positive = insert_before(relu, aten.gt.Scalar, relu.args[0], 0)
    call_instead(program, relu, aten.mul.Tensor, relu.args[0], positive)


@fault("nonstrict", "normed", owner="outputs", field="value")
def nan_becomes_zero(program: ExportedProgram) -> None:
    follow(program, call(program, "aten.div", 1), aten.nan_to_num.default)


@fault("nonstrict-decompose", "normed", owner="outputs", field="value")
def zero_becomes_nan(program: ExportedProgram) -> None:
    quotient = call(program, "aten.div")
    zero = insert_after(quotient, aten.eq.Scalar, quotient, 0)
    use_instead(program, quotient, insert_after(zero, aten.where.ScalarSelf, zero, float("nan"), quotient))


@fault("nonstrict-serdes", "layered", owner="outputs", field="dtype")
def output_in_double_precision(program: ExportedProgram) -> None:
    follow(program, call(program, "aten.add", 3), aten._to_copy.default, dtype=torch.float64)


@fault("nonstrict", "layered", owner="outputs", field="value")
def returned_number_changed(program: ExportedProgram) -> None:
    _return_number(program, 4)


@fault("nonstrict-serdes", "layered", owner="outputs", field="type")
def returned_int_becomes_float(program: ExportedProgram) -> None:
    _return_number(program, 3.0)


def _return_number(program: ExportedProgram, number: float) -> None:
    set_output(program, 2, number)
    program.graph_signature.output_specs[2].arg.value = number


@fault("nonstrict-decompose", "normed", owner="outputs", field="value")
def lowered_with_another_epsilon(program: ExportedProgram) -> None:
    set_argument(call(program, "aten.native_layer_norm"), 4, 1e-3)


@fault("nonstrict-retrace", "layered", owner="outputs", field="value")
def operands_of_a_subtraction_swapped(program: ExportedProgram) -> None:
    node = call(program, "aten.sub")
    node.args = node.args[::-1]


@fault("nonstrict-decompose", "layered", owner="outputs", field="value")
def factor_of_an_addition_forgotten(program: ExportedProgram) -> None:
    call(program, "aten.add.", 1).kwargs = {}


@fault("nonstrict", "layered", owner="outputs", field="value")
def example_baked_in(program: ExportedProgram) -> None:
    """An input is a constant: right for the example, wrong for all else."""
    value = program.example_inputs[0][0]
    old = placeholder(program, "x")
    old.replace_all_uses_with(lift(program, "baked", value.clone()))


@fault("nonstrict", "resizing", owner="outputs", field="raised")
def dynamic_size_baked_in(program: ExportedProgram) -> None:
    size = call(program, "aten.sym_size")
    set_argument(call(program, "aten.reshape"), 1, [size.meta["val"].node.hint, 2, 4])


@fault("nonstrict-serdes", "resizing", owner="outputs", field="shape")
def result_size_baked_in(program: ExportedProgram) -> None:
    set_argument(call(program, "aten.new_ones"), 1, [len(program.example_inputs[0][0]) + 1])


@fault("nonstrict-decompose", "layered", owner="outputs", field="value")
def computed_in_half_precision(program: ExportedProgram) -> None:
    half = follow(program, call(program, "aten.addmm"), aten._to_copy.default, dtype=torch.bfloat16)
    follow(program, half, aten._to_copy.default, dtype=torch.float32)


@fault("nonstrict-retrace", "layered", owner="outputs", field="value")
def square_weight_transposed(program: ExportedProgram) -> None:
    node = call(program, "aten.linear")
    set_argument(node, 1, insert_before(node, aten.t.default, node.args[1]))


@fault("nonstrict-serdes", "layered", owner="outputs", field="device")
def output_on_another_device(program: ExportedProgram) -> None:
    follow(program, call(program, "aten.relu"), aten._to_copy.default, device="meta")


@fault("nonstrict-serdes", "layered", owner="outputs", field="layout")
def output_becomes_sparse(program: ExportedProgram) -> None:
    relu = call(program, "aten.relu")
    sparse = insert_after(relu, aten.alias.default, relu)
    sparse.target = aten._to_sparse.default  # which fake tensors do not have
    use_instead(program, relu, sparse)


@fault("nonstrict-decompose", "tied", owner="outputs", field="shape")
def scalar_gets_a_dim(program: ExportedProgram) -> None:
    follow(program, call(program, "aten.add"), aten.unsqueeze.default, 0)


@fault("nonstrict-retrace", "normed", owner="outputs", field="value")
def other_result_of_a_split(program: ExportedProgram) -> None:
    first, second = [node for node in program.graph.nodes if node.target is operator.getitem][:2]
    set_argument(first, 1, 1)
    set_argument(second, 1, 0)


@fault("nonstrict-retrace", "drawing", owner="outputs", field="value")
def random_numbers_drawn_in_another_order(program: ExportedProgram) -> None:
    call(program, "aten.dropout").prepend(call(program, "aten.rand_like"))


@fault("nonstrict-retrace", "branching", owner="outputs", field="value")
def condition_negated(program: ExportedProgram) -> None:
    follow(program, call(program, "aten.gt"), aten.logical_not.default)


@fault("nonstrict_postdispatch", "masked", owner="outputs", field="value")
def attention_masked_otherwise_below_autograd(program: ExportedProgram) -> None:
    """The program can be called without grad only, and is judged there."""
    follow(program, call(program, "aten.mul"), aten.neg.default)


@fault("strict_postdispatch", "masked", owner="outputs", field="raised")
def inference_program_that_cannot_be_called_at_all(program: ExportedProgram) -> None:
    set_argument(call(program, "aten.mul", 1), 1, "two")
