"""Layouts: which operators of a program determine the strides of an output."""

from __future__ import annotations

from pytest_exportcheck.checks.alignment import refs
from pytest_exportcheck.records import ProgramRecord

#: Operators whose results have strides of their own, whatever the strides of their inputs.
_SETTLES = (
    "aten.linear.",
    "aten.matmul.",
    "aten.mm.",
    "aten.addmm.",
    "aten.bmm.",
    "aten.baddbmm.",
    "aten.embedding.",
    "aten.scaled_dot_product_attention.",
    "aten._scaled_dot_product_",
    "aten.contiguous.",
    "aten.layer_norm.",
    "aten.native_layer_norm.",
)
#: Operators whose results have strides of their own where the call names another memory format than that of the input.
_SETTLES_BY_FORMAT = ("aten.clone.", "aten._to_copy.", "aten.to.", "aten.empty_like.")


def operators_of_layout(program: ProgramRecord, number: int) -> tuple[str, ...] | None:
    """The operators between a user's output and the nearest results that have strides of their own, those included; None
    where the program does not name the output."""
    outputs = [spec for spec in program.signature.outputs if spec.kind == _USER_OUTPUT]
    nodes = {node.name: node for node in program.graphs[""].nodes}
    if number >= len(outputs) or outputs[number].name not in nodes:
        return None
    found: set[str] = set()
    seen: set[str] = set()
    pending = [outputs[number].name]
    while pending:
        node = nodes.get(pending.pop())
        if node is None or node.name in seen or node.op != "call_function":
            continue
        seen.add(node.name)
        found.add(node.target)
        if not node.target.startswith(_SETTLES):
            pending += [each.name for each in refs(node)]
    return tuple(sorted(found))


_USER_OUTPUT = "USER_OUTPUT"
