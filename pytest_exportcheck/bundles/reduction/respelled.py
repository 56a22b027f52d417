"""The source of a module, exported again: which operators may be spelled in a nicer way, and what the capture makes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.export import ExportedProgram

from pytest_exportcheck.bundles.reduction.draft import Candidate, Draft, calls_of
from pytest_exportcheck.bundles.reduction.script import module_text
from pytest_exportcheck.bundles.reduction.shapes_text import dynamic_shapes_of
from pytest_exportcheck.bundles.reduction.sources import executed
from pytest_exportcheck.bundles.reduction.spelling import Spelling, Unspeakable, spellings_of
from pytest_exportcheck.describe.freeze import target_text
from pytest_exportcheck.harness.isolation import quiet, without_logs
from pytest_exportcheck.harness.process_state import preserved_globals
from pytest_exportcheck.harness.tensors import copy_tree


@dataclass(frozen=True, eq=False)
class Respelled:
    """The spelling of the operators, and the program that torch captures of the source."""

    spelling: Spelling
    candidate: Candidate


def respelled(candidate: Candidate) -> Respelled:
    """Capture the source of a program again, with the nicest spelling of each operator for which the capture holds the same
    operators.

    Raises
    ------
    Unspeakable
        If there is no source, or it cannot be exported.
    """
    wanted = _targets(candidate.program)
    full = {kind: len(spellings_of(kind)) - 1 for kind in wanted}
    spelling: dict[str, int] = dict(full)
    made = _exported(candidate, {})
    if made is not None and _targets(made.program) == wanted:
        return Respelled({}, made)
    for kind in full:
        for number in range(full[kind]):
            made = _exported(candidate, {**spelling, kind: number})
            if made is not None and _targets(made.program) == wanted:
                spelling[kind] = number
                break
    made = _exported(candidate, spelling)
    if made is None:
        raise Unspeakable("its source cannot be exported")
    return Respelled(spelling, made)


def _targets(program: ExportedProgram) -> list[str]:
    return [target_text(node.target) for node in calls_of(program.graph_module)]


def _exported(candidate: Candidate, spelling: Spelling) -> Candidate | None:
    """Return the capture of the source, None where it raises."""
    source, dynamic = module_text(candidate, spelling), dynamic_shapes_of(candidate).value()
    args = copy_tree(candidate.calls[0].args)
    try:
        with preserved_globals(), quiet(), without_logs(), executed(source, {"torch": torch}) as module:
            program = torch.export.export(module.M(), args, dynamic_shapes=dynamic)
    except Exception:  # torch in its own words: another spelling is tried
        return None
    draft = Draft(Candidate(program, candidate.calls))
    draft.flat = True
    return draft.finished()
