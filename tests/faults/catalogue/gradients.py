"""Right outputs through which no gradients, or wrong ones, flow."""

from __future__ import annotations

from torch.export import ExportedProgram

from tests.faults.editing import aten, call, follow, insert_after, insert_before, placeholder, set_argument, use_instead
from tests.faults.fault import fault


@fault("nonstrict", "learning", owner="gradients", field="requires_grad")
def output_detached(program: ExportedProgram) -> None:
    follow(program, call(program, "aten.mul"), aten.detach.default)


@fault("nonstrict-retrace", "layered", owner="gradients", field="dropped")
def layer_detached(program: ExportedProgram) -> None:
    follow(program, call(program, "aten.linear"), aten.detach.default)


@fault("nonstrict-decompose", "layered", owner="gradients", field="dropped")
def layer_detached_by_lowering(program: ExportedProgram) -> None:
    follow(program, call(program, "aten.addmm"), aten.detach.default)


@fault("nonstrict-serdes", "learning", owner="gradients", field="dropped")
def input_detached(program: ExportedProgram) -> None:
    x, linear = placeholder(program, "x"), call(program, "aten.linear")
    set_argument(linear, 0, insert_before(linear, aten.detach.default, x))


@fault("nonstrict", "learning", owner="gradients", field="value")
def gradient_doubled(program: ExportedProgram) -> None:
    """``2 * y - y.detach()`` is ``y``, with twice its gradient."""
    result = call(program, "aten.mul")
    twice = insert_after(result, aten.mul.Tensor, result, 2)
    detached = insert_after(twice, aten.detach.default, result)
    use_instead(program, result, insert_after(detached, aten.sub.Tensor, twice, detached))


@fault("nonstrict", "learning", owner="gradients", field="requires_grad")
def region_without_grad_lost(program: ExportedProgram) -> None:
    set_argument(call(program, "wrap_with_set_grad_enabled"), 0, True)


@fault("nonstrict", "learning", owner="gradients", field="raised")
def saved_tensor_written_to(program: ExportedProgram) -> None:
    """Multiplying what backward needs by one, in place, changes no value."""
    insert_after(call(program, "aten.tanh"), aten.mul_.Tensor, call(program, "aten.tanh"), 1)


@fault("nonstrict_postdispatch", "layered", ledger="gradients.dropped")
def layer_detached_below_autograd(program: ExportedProgram) -> None:
    follow(program, call(program, "aten.addmm"), aten.detach.default)


@fault("nonstrict-decompose", "learning", ledger="gradients.raised")
def saved_tensor_written_to_by_lowering(program: ExportedProgram) -> None:
    insert_after(call(program, "aten.tanh"), aten.mul_.Tensor, call(program, "aten.tanh"), 1)
