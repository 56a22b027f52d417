"""What the reference exporter owes to one model that torch exports: the same program, but for what torch has wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.fx
from torch.export import ExportedProgram

from benchmarks.roundtrips import difference_of

CHECKS = ("operators", "signature", "outputs")


def compared(ours: ExportedProgram, theirs: ExportedProgram, run: Callable[[ExportedProgram], Any]) -> dict[str, str]:
    """For each check what is otherwise in ours, empty where nothing is. ``run`` gives a pytree of all that a program computes."""
    return {
        "operators": _differing(list(_operators(ours)), list(_operators(theirs))),
        "signature": _differing(_signature(ours), _signature(theirs))
        or _missing(theirs._guards_code, ours._guards_code),
        "outputs": difference_of(run(ours), run(theirs)),
    }


def _operators(program: ExportedProgram) -> Iterator[str]:
    """What is called, in order, in the graphs that the graph calls too."""
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            if node.op == "call_function":
                yield str(node.target)


def _signature(program: ExportedProgram) -> list[str]:
    """Inputs and outputs, ranges, module calls, and the names of state and constants: those in any order."""
    return [
        *str(program.graph_signature).splitlines(),
        f"ranges {program.range_constraints}",
        *map(str, program.module_call_graph),
        f"state {sorted(program.state_dict)}",
        f"constants {sorted(program.constants)}",
    ]


def _differing(ours: list[str], theirs: list[str]) -> str:
    for one, other in zip(ours, theirs, strict=False):
        if one != other:
            return f"{one[:100]} instead of {other[:100]}"
    return "" if len(ours) == len(theirs) else f"{len(ours)} instead of {len(theirs)}"


def _missing(wanted: list[str], there: list[str]) -> str:
    lacking = sorted(set(wanted) - set(there))
    return f"without the guards {lacking}" if lacking else ""
