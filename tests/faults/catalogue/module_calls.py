"""The module call graph: entries dropped, added, renamed, reordered, and the call signatures that it keeps."""

from __future__ import annotations

import copy

from torch.export import ExportedProgram
from torch.export.exported_program import ModuleCallEntry

from tests.faults.fault import Fault, fault


def _place(program: ExportedProgram, path: str) -> int:
    return next(number for number, entry in enumerate(program.module_call_graph) if entry.fqn == path)


def _dropped(program: ExportedProgram) -> None:
    del program.module_call_graph[_place(program, "pair.left")]


def _added(program: ExportedProgram) -> None:
    program.module_call_graph.append(ModuleCallEntry("pair.right@1"))


def _renamed(program: ExportedProgram) -> None:
    program.module_call_graph[_place(program, "pair.left")] = ModuleCallEntry("pair.middle")


def _reordered(program: ExportedProgram) -> None:
    entries = program.module_call_graph
    left, right = _place(program, "pair.left"), _place(program, "pair.right")
    entries[left], entries[right] = entries[right], entries[left]


def _signature_gained(program: ExportedProgram) -> None:
    entries = program.module_call_graph
    place = _place(program, "pair")
    entries[place] = ModuleCallEntry("pair", copy.deepcopy(entries[0].signature))


_EDITS = {
    "dropped": _dropped,
    "added": _added,
    "renamed": _renamed,
    "reordered": _reordered,
    "given-a-signature": _signature_gained,
}
_KINDS = {"renamed": "dropped", "reordered": "order", "given-a-signature": "signature"}

FAMILIES = tuple(
    Fault(
        id=f"called-module-{what}-by-{stage}",
        where=f"nonstrict-{stage}",
        model="layered",
        inject=inject,
        owner="module_calls",
        field=_KINDS.get(what, what),
    )
    for what, inject in _EDITS.items()
    for stage in ("decompose", "serdes", "retrace")
    if (what, stage) != ("reordered", "retrace")
)


@fault("nonstrict-retrace", "layered", ledger="module_calls.order")
def called_module_reordered_by_retrace(program: ExportedProgram) -> None:
    _reordered(program)


@fault("nonstrict-retrace", "layered", ledger="module_calls.made_by_the_capture_added")
def called_module_that_the_capture_made(program: ExportedProgram) -> None:
    program.module_call_graph.append(ModuleCallEntry("inlined"))


@fault("nonstrict-serdes", "layered", ledger="graph_module.meta")
def note_on_the_graph_module(program: ExportedProgram) -> None:
    program.graph_module.meta["note"] = "left by a pass"
