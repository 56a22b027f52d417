"""``val``: what metadata says of a value that is something else."""

from __future__ import annotations

from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Node

from tests.faults.editing import aten, call, calls, faked, output, placeholder, subgraphs
from tests.faults.fault import Fault, fault


class _Altered:
    """Says something else of the value of one operator's result."""

    def __init__(self, target: str, **changed: Any) -> None:
        self._target, self._changed = target, changed

    def __call__(self, program: ExportedProgram) -> None:
        _alter(call(program, self._target), **self._changed)


def _alter(node: Node, **changed: Any) -> None:
    node.meta["val"] = faked(node.meta["val"], **changed)


_EDITS = {
    "shape": _Altered("aten.sub", shape=(3, 4)),
    "rank": _Altered("aten.sub", shape=(1, 3, 3)),
    "dtype": _Altered("aten.sub", dtype=torch.float64),
    "stride": _Altered("aten.sub", stride=(1, 3)),
    "device": _Altered("aten.sub", device="meta"),
}

FAMILIES = tuple(
    Fault(
        id=f"{what}-said-to-be-another-by-{where.rpartition('-')[2]}",
        where=where,
        model="layered",
        inject=inject,
        owner="val",
        field="shape" if what == "rank" else what,
    )
    for what, inject in _EDITS.items()
    for where in ("nonstrict", "nonstrict-decompose", "nonstrict-serdes", "nonstrict-retrace")
)


def _forgotten(program: ExportedProgram) -> None:
    del call(program, "aten.sub").meta["val"]


FAMILIES += tuple(
    Fault(
        id=f"val-forgotten-by-{where.rpartition('-')[2]}",
        where=where,
        model="layered",
        inject=_forgotten,
        owner="val",
        field="missing",
    )
    for where in ("nonstrict", "nonstrict-serdes")
)


@fault("nonstrict-serdes", "resizing", owner="val", field="symbol")
def symbol_of_a_number_changed(program: ExportedProgram) -> None:
    """``rows`` for ``rows + 1``."""
    call(program, "_operator.add").meta["val"] = call(program, "aten.sym_size").meta["val"]


@fault("nonstrict-serdes", "resizing", owner="val", field="shape")
def symbol_in_a_shape_changed(program: ExportedProgram) -> None:
    node = call(program, "aten.new_ones")
    _alter(node, shape=(call(program, "aten.sym_size").meta["val"],))


@fault("nonstrict-serdes", "resizing", owner="val", field="shape")
def symbol_replaced_by_its_example(program: ExportedProgram) -> None:
    node = call(program, "aten.sum")
    _alter(node, shape=(node.meta["val"].shape[0].node.hint, 4))


@fault("nonstrict-serdes", "resizing", owner="val", field="shape")
def unbacked_symbol_replaced_by_another(program: ExportedProgram) -> None:
    node = call(program, "aten.mul")
    _alter(node, shape=(call(program, "aten.sym_size").meta["val"], 1))


@fault("nonstrict", "resizing", owner="val", field="shape")
def wrong_symbol_captured(program: ExportedProgram) -> None:
    node = call(program, "aten.new_ones")
    _alter(node, shape=(call(program, "aten.sym_size").meta["val"],))


@fault("nonstrict-decompose", "resizing", owner="val", field="value")
def wrong_number_lowered(program: ExportedProgram) -> None:
    node = call(program, "_operator.add")
    node.meta["val"] = node.meta["val"] + 1


@fault("nonstrict", "resizing", owner="val", field="shape")
def dynamic_result_said_to_be_static(program: ExportedProgram) -> None:
    """Right for the example, whose size it is."""
    node = call(program, "aten.new_ones")
    _alter(node, shape=(node.meta["val"].shape[0].node.hint,))


@fault("nonstrict", "shortened", owner="val", field="shape")
def result_of_a_derived_size_said_to_be_static(program: ExportedProgram) -> None:
    """Right for the example; the size is ``rows - 1`` and no other dim has the size ``rows``."""
    node = call(program, "aten.relu")
    _alter(node, shape=(node.meta["val"].shape[0].node.hint,))


@fault("nonstrict-serdes", "layered", owner="val")
def val_of_a_placeholder_changed(program: ExportedProgram) -> None:
    _alter(placeholder(program, "b_scale"), dtype=torch.float64)


@fault("nonstrict", "layered", owner="val")
def val_of_a_placeholder_captured_wrong(program: ExportedProgram) -> None:
    _alter(placeholder(program, "b_scale"), dtype=torch.float64)


@fault("nonstrict-serdes", "branching", owner="val", field="shape")
def val_in_a_branch_changed(program: ExportedProgram) -> None:
    _alter(calls(subgraphs(program)[1].graph, "aten.div")[0], shape=(4,))


@fault("nonstrict", "branching", owner="val")
def val_in_a_branch_captured_wrong(program: ExportedProgram) -> None:
    _alter(calls(subgraphs(program)[0].graph, "aten.sin")[0], dtype=torch.float64)


@fault("nonstrict-serdes", "normed", owner="val")
def one_result_of_two_forgotten(program: ExportedProgram) -> None:
    node = call(program, "aten.split_with_sizes")
    node.meta["val"] = node.meta["val"][:1]


@fault("nonstrict", "normed", owner="val", field="length")
def one_result_of_two_not_captured(program: ExportedProgram) -> None:
    node = call(program, "aten.split_with_sizes")
    node.meta["val"] = node.meta["val"][:1]


@fault("nonstrict-serdes", "normed", owner="val", field="shape")
def vals_of_two_operations_swapped(program: ExportedProgram) -> None:
    one, other = call(program, "aten.div").meta, call(program, "aten.div", 1).meta
    one["val"], other["val"] = other["val"], one["val"]


@fault("nonstrict-serdes", "layered", owner="metadata", field="placeholder.requires_grad")
def val_of_a_parameter_without_grad(program: ExportedProgram) -> None:
    meta = placeholder(program, "p_pair_left_weight").meta
    meta["val"] = meta["val"].detach()


@fault("nonstrict-serdes", "viewing", ledger="val.storage_offset")
def storage_offset_changed(program: ExportedProgram) -> None:
    node = call(program, "aten.add")
    with node.meta["val"].fake_mode:
        node.meta["val"] = aten.slice.Tensor(torch.empty(3, 3), 0, 1, 3)


@fault("nonstrict-exchange", "layered", ledger="val.output")
def output_given_a_val(program: ExportedProgram) -> None:
    output(program).meta["val"] = [node.meta["val"] for node in output(program).all_input_nodes]
