"""Layouts: the operators of a program that determine the strides of an output."""

from __future__ import annotations

from pytest_exportcheck.checks.compare.alignment import refs
from pytest_exportcheck.records import NodeRecord, ProgramRecord


def operators_of_layout(program: ProgramRecord, number: int) -> tuple[str, ...] | None:
    """Return the operators between a user's output and the nearest results with independent strides, those included;
    None where the program does not name the output.
    """
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
    return "settles_strides" in node.facts or ("settles_strides_by_format" in node.facts and _names_format(node))


def _names_format(node: NodeRecord) -> bool:
    named = [f"{each}" for each in (*node.args, *node.kwargs.values()) if f"{each}".startswith("torch.")]
    return any(each.endswith(("contiguous_format", "channels_last", "channels_last_3d")) for each in named)


_USER_OUTPUT = "USER_OUTPUT"
