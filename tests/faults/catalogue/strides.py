"""Outputs of the right values in another memory layout."""

from __future__ import annotations

import torch
from torch.export import ExportedProgram

from tests.faults.editing import aten, call, follow
from tests.faults.fault import fault


@fault("nonstrict-decompose", "viewing", owner="outputs", field="stride")
def transposed_output_made_contiguous(program: ExportedProgram) -> None:
    follow(program, call(program, "aten.permute"), aten.clone.default, memory_format=torch.contiguous_format)


@fault("nonstrict-serdes", "normed", owner="outputs", field="stride")
def memory_format_dropped(program: ExportedProgram) -> None:
    """``clone`` keeps the strides of a transposed tensor, unless it is told not to."""
    call(program, "aten.clone").kwargs = {}


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
