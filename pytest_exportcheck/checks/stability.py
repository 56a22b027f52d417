"""Stability: an edge that is applied again changes nothing more. Judged where a mode repeats its last edge
(``nonstrict-serdes-serdes``, ``nonstrict-retrace-retrace``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_exportcheck.checks.compare.rendering import side_by_side
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.records import Cause, Evidence, Finding, ProgramRecord

_FINDING = Finding.of("stability")

#: The key of the root in a module stack, put before itself by every retrace.
_ROOTS = "L__self__" * 3


def check(evidence: Evidence) -> list[Finding]:
    """Compare the records of the second and third archive, or the programs of the second and first retrace."""
    if not Mode.parse(evidence.mode).repeats_last:
        return []
    found = list(_archives(evidence.after.saved, evidence.after.resaved))
    before, after = evidence.before.program, evidence.after.program
    if evidence.stage == "retrace" and before is not None and after is not None:
        found += _programs(before, after)
    return found


def _archives(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Finding]:
    for name in dict.fromkeys((*before, *after)):
        if before.get(name) != after.get(name):
            yield _FINDING.at(
                f"archive record {name}",
                "changed",
                "bytes",
                before.get(name, "no such record"),
                after.get(name, "no such record"),
                "between the second and the third save",
            )


def _programs(before: ProgramRecord, after: ProgramRecord) -> Iterator[Finding]:
    """Yield differences node for node by place: names, targets, module stacks with their keys; and the module call
    graph.
    """
    fields: dict[str, tuple[list[object], list[object]]] = {
        "names": (_nodes(before, "name"), _nodes(after, "name")),
        "targets": (_nodes(before, "target"), _nodes(after, "target")),
        "nn_module_stack": (_stacks(before), _stacks(after)),
        "module_call_graph": (list(before.module_calls), list(after.module_calls)),
        "signature": (list(before.signature.inputs), list(after.signature.inputs)),
    }
    for field, (old, new) in fields.items():
        if old != new:
            place = next((n for n, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]), None)
            left, right = (
                (old[place], new[place]) if place is not None else (f"{len(old)} entries", f"{len(new)} entries")
            )
            expected, actual = side_by_side(left, right)
            grown = _ROOTS in str(right)
            yield _FINDING.at(
                field,
                "changed",
                field,
                expected,
                actual,
                "between the first and the second retrace",
                causes=(Cause("repeated_root"),) if grown else (),
            )


def _nodes(program: ProgramRecord, field: str) -> list[object]:
    return [getattr(node, field) for graph in program.graphs.values() for node in graph.nodes]


def _stacks(program: ProgramRecord) -> list[object]:
    return [node.meta.get("nn_module_stack") for graph in program.graphs.values() for node in graph.nodes]
