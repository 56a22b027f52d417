"""Outputs of the right values in another memory layout."""

from __future__ import annotations

import torch
from torch.export import ExportedProgram
from torch.fx import Node

from tests.faults.editing import aten, call, calls, follow, returned, use_instead
from tests.faults.fault import fault


@fault("nonstrict-decompose", "viewing", owner="outputs", field="stride")
def transposed_output_made_contiguous(program: ExportedProgram) -> None:
    follow(program, call(program, "aten.permute"), aten.clone.default, memory_format=torch.contiguous_format)


@fault("nonstrict-serdes", "normed", owner="outputs", field="stride")
def memory_format_dropped(program: ExportedProgram) -> None:
    """``clone`` keeps the strides of a transposed tensor, unless it is told not to."""
    call(program, "aten.clone").kwargs = {}


@fault("nonstrict-decompose", "masked", owner="outputs", field="value")
def wrong_values_where_strides_are_known_to_be_wrong(program: ExportedProgram) -> None:
    """Lowered attention returns other strides, which is a known defect of torch; its values are still compared."""
    follow(program, _returned(program, 1), aten.triu.default)


@fault("nonstrict-decompose", "masked", owner="outputs", field="shape")
def wrong_shape_where_strides_are_known_to_be_wrong(program: ExportedProgram) -> None:
    follow(program, _returned(program, 1), aten.unsqueeze.default, 0)


def _returned(program: ExportedProgram, place: int) -> Node:
    """A result of the graph; the first is the new value of the buffer."""
    node = returned(program)[place]
    assert isinstance(node, Node)
    return node


@fault("nonstrict", "layered", owner="outputs", field="stride")
def columns_before_rows(program: ExportedProgram) -> None:
    turned = follow(program, call(program, "aten.relu"), aten.t.default)
    copied = follow(program, turned, aten.clone.default, memory_format=torch.contiguous_format)
    follow(program, copied, aten.t.default)


@fault("nonstrict-retrace", "layered", owner="outputs", field="stride")
def rows_padded(program: ExportedProgram) -> None:
    relu = call(program, "aten.relu")
    padded = follow(program, relu, aten.constant_pad_nd.default, [0, 1])
    follow(program, padded, aten.slice.Tensor, 1, 0, 3)


@fault("nonstrict-decompose", "masked", owner="outputs", field="stride")
def layout_of_another_output_changed_by_lowering(program: ExportedProgram) -> None:
    """The known defect of attention explains the strides of what attention returns, not those of other outputs."""
    follow(program, _returned(program, 2), aten.clone.default, memory_format=torch.contiguous_format)


@fault("nonstrict-decompose", "settled", owner="outputs", field="stride")
def contiguous_behind_attention_dropped_by_lowering(program: ExportedProgram) -> None:
    """The known defect of attention does not reach beyond what makes its result contiguous."""
    (copied,) = [node for node in calls(program.graph, "aten.clone") if node is returned(program)[0]]
    source = copied.args[0]
    assert isinstance(source, Node)
    use_instead(program, copied, source)
    program.graph.erase_node(copied)


@fault("nonstrict-decompose", "settled", owner="outputs", field="stride")
def normalised_attention_turned_by_lowering(program: ExportedProgram) -> None:
    turned = follow(program, _returned(program, 1), aten.transpose.int, 1, 2)
    copied = follow(program, turned, aten.clone.default, memory_format=torch.contiguous_format)
    follow(program, copied, aten.transpose.int, 1, 2)
