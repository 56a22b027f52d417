"""Layouts: which operators of a program determine the strides of an output."""

from __future__ import annotations

from pytest_exportcheck.checks.alignment import refs
from pytest_exportcheck.records import NodeRecord, ProgramRecord

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
    "aten.softmax.",
    "aten._softmax.",
    "aten.log_softmax.",
    "aten._log_softmax.",
    "aten.cumsum.",
    "aten.index_select.",
    "aten.gather.",
    "aten.repeat.",
)
#: The same, where a call names a memory format that does not keep the strides of its input.
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
        if not _settles(node):
            pending += [each.name for each in refs(node)]
    return tuple(sorted(found))


def _settles(node: NodeRecord) -> bool:
    return node.target.startswith(_SETTLES) or (node.target.startswith(_SETTLES_BY_FORMAT) and _names_format(node))


def _names_format(node: NodeRecord) -> bool:
    named = [f"{each}" for each in (*node.args, *node.kwargs.values()) if f"{each}".startswith("torch.")]
    return any(each.endswith(("contiguous_format", "channels_last", "channels_last_3d")) for each in named)


_USER_OUTPUT = "USER_OUTPUT"
