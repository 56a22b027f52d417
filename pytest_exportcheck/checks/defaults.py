"""Defaults: calls that take their dtype or device from the process, where these may be different when the program is
called.
"""

from __future__ import annotations

from pytest_exportcheck.checks.compare.rendering import node_text, user_line
from pytest_exportcheck.records import Evidence, Finding, NodeRecord, TensorValue


def check(evidence: Evidence) -> list[Finding]:
    """Return a finding for every such call of a captured program."""
    program = evidence.after.program
    return [
        Finding.of("defaults").at(
            graph.place(node),
            "defaulted",
            what,
            f"a call that gives its {what}",
            f"{node_text(node)} yields {_value(node, what)}, the default {what} of the capture",
            _REMEDY[what],
            line=user_line(node),
        )
        for graph in (program.graphs.values() if program is not None else ())
        for node in graph.nodes
        for what in node.defaults
    ]


_REMEDY = {
    "dtype": "Called under another torch.set_default_dtype, the program computes in that dtype. Give the dtype: pass dtype=, or "
    "convert the operands.",
    "device": "Called under another torch.set_default_device, the program makes the tensor there. Pass device=.",
}


def _value(node: NodeRecord, what: str) -> str:
    """Return the dtype or device of the first result that has one."""
    results = node.val if isinstance(node.val, tuple) else (node.val,)
    return next((str(getattr(each, what)) for each in results if isinstance(each, TensorValue)), "a value")
