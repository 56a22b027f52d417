"""Values that are wrong by little: more than eager's own rounding, and by what another way to compute would not explain."""

from __future__ import annotations

import torch
from torch.export import ExportedProgram

from tests.faults.editing import (
    aten,
    call,
    calls,
    follow,
    insert_after,
    insert_before,
    placeholder,
    set_argument,
    use_instead,
)
from tests.faults.fault import fault


@fault("nonstrict-decompose", "attending", owner="gradients", field="value")
def key_bias_gradient_off_by_a_hundred_thousandth(program: ExportedProgram) -> None:
    """``(bias - bias.detach()).sum()`` is zero. The elements of the 224 outputs are weighted with 112 in all."""
    last = calls(program.graph, "aten.add.Tensor")[-1]
    bias = placeholder(program, "p_key_bias")
    detached = insert_after(last, aten.detach.default, bias)
    zeros = insert_after(detached, aten.sub.Tensor, bias, detached)
    zero = insert_after(zeros, aten.sum.default, zeros)
    small = insert_after(zero, aten.mul.Tensor, zero, 1e-5 / 112)
    use_instead(program, last, insert_after(small, aten.add.Tensor, last, small))


@fault("nonstrict-decompose", "gated", owner="gradients", field="value")
def small_gradient_of_four_elements_zeroed(program: ExportedProgram) -> None:
    """The gradient of a gate is small, and not zero but for rounding as that of a key bias is."""
    gate = placeholder(program, "p_gate")
    used = call(program, "aten.mul.Tensor", 1)
    nothing = insert_before(used, aten.mul.Tensor, gate, 0)
    detached = insert_before(used, aten.add.Tensor, insert_before(used, aten.detach.default, gate), nothing)
    set_argument(used, 0, detached)


@fault("nonstrict-decompose", "attending", owner="outputs", field="value")
def lowered_output_off_by_three_times_its_bound(program: ExportedProgram) -> None:
    follow(program, calls(program.graph, "aten.add.Tensor")[-1], aten.mul.Tensor, 1 + 3e-5)


@fault("nonstrict-decompose", "stepping", owner="outputs", field="value")
def lowered_output_off_where_float64_takes_another_step(program: ExportedProgram) -> None:
    follow(program, call(program, "aten.addmm"), aten.mul.Tensor, 1 + 3e-5)


@fault("nonstrict", "served", owner="outputs", field="value")
def encoder_off_by_a_ten_thousandth(program: ExportedProgram) -> None:
    follow(program, call(program, "aten.layer_norm", 1), aten.add.Tensor, 1e-4)


@fault("nonstrict", "served_half", owner="outputs", field="value")
def one_element_of_an_encoder_off_by_one_float16_ulp(program: ExportedProgram) -> None:
    norm = call(program, "aten.layer_norm", 1)
    largest = insert_after(norm, aten.amax.default, norm)
    chosen = insert_after(largest, aten.eq.Tensor, norm, largest)
    next_one = insert_after(chosen, aten.mul.Tensor, norm, 1 + 2**-11)
    use_instead(program, norm, insert_after(next_one, aten.where.self, chosen, next_one, norm))


@fault("strict", "padded", owner="outputs", field="value")
def kernel_of_the_fast_path_off_by_a_ten_thousandth(program: ExportedProgram) -> None:
    """A strict capture has the kernel and no nested tensor: neither path of eager gives the same bits."""
    follow(program, call(program, "aten._transformer_encoder_layer_fwd"), aten.mul.Tensor, 1 + 1e-4)


@fault("nonstrict-decompose", "counting", owner="effects", field="mutated to another value")
def lowered_buffer_off_by_three_times_its_bound(program: ExportedProgram) -> None:
    follow(program, call(program, "aten.add.Tensor", 1), aten.mul.Tensor, 1 + 3e-5)


@fault("nonstrict", "served", owner="outputs", field="stride")
def encoder_with_strides_of_neither_path(program: ExportedProgram) -> None:
    norm = call(program, "aten.layer_norm", 1)
    moved = insert_after(norm, aten.permute.default, norm, [2, 0, 1])
    dense = insert_after(moved, aten.clone.default, moved, memory_format=torch.contiguous_format)
    use_instead(program, norm, insert_after(dense, aten.permute.default, dense, [1, 2, 0]))
