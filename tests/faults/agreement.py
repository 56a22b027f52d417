"""``python -m tests.faults.agreement``: a fault in the capture of one of two engines, and whom their comparison names.

Every fault is injected into the program that torch captures, and then into that of the reference engine.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, TypeAlias

import torch
from torch.export import ExportedProgram

from pytest_exportcheck.engines.bare import as_engine
from pytest_exportcheck.engines.protocol import Engine
from pytest_exportcheck.engines.reference import Reference
from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.modes import AGREE, Mode
from pytest_exportcheck.records import Finding, Outcome
from pytest_exportcheck.run.runner import Runner
from tests.faults.catalogue import CATALOGUE
from tests.faults.fault import Fault, Inject
from tests.faults.models import MODELS

Named: TypeAlias = Literal["right", "wrong", "undecided", "silent", "not injected", "no program"]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Whom the comparison of two engines names for a fault in the capture of one: what it named, and its findings."""

    fault: Fault
    engine: str
    named: Named
    findings: tuple[Finding, ...] = ()


def compared_with(fault: Fault, engine: str) -> Comparison:
    """Compare the engines, one of which has the fault."""
    try:
        outcome = _outcome(fault.model, fault.where, engine, fault.inject)
    except _NotInjected:
        return Comparison(fault=fault, engine=engine, named="not injected")
    if not outcome.status.judged:
        return Comparison(fault=fault, engine=engine, named="no program")
    known = {finding.identity for finding in sound(fault.model, fault.where).findings}
    new = tuple(each for each in outcome.findings if each.culprit and each.identity not in known)
    return Comparison(fault=fault, engine=engine, named=_named(new, engine), findings=new)


def _named(findings: Sequence[Finding], engine: str) -> Named:
    names = {each.culprit.name for each in findings if each.culprit}
    if names - {engine, "undecided"}:
        return "wrong"
    return "right" if engine in names else "undecided" if names else "silent"


@cache
def sound(model: str, where: str) -> Outcome:
    """The comparison of the engines without a fault."""
    return _outcome(model, where, "torch", lambda program: None)


class _NotInjected(Exception):
    """The fault is an edit of another program than that of a capture."""


def _outcome(model: str, where: str, faulty: str, inject: Inject) -> Outcome:
    capture = Mode((Mode.parse(where).capture,))
    edit = _Edit(inject)
    engines = {
        "torch": _engine(TorchExport(), edit if faulty == "torch" else None),
        "reference": _engine(Reference(), edit if faulty == "reference" else None),
    }
    names = [name for name, engine in engines.items() if str(capture) in engine.captures]
    if len(names) < 2:
        raise _NotInjected
    runner = Runner(engines, profile="ship", threads=1, compared=lambda case, mode: names)
    runner.select([(MODELS[model], AGREE, capture)])
    outcome = runner.run(MODELS[model], AGREE, capture)
    if edit.failed:
        raise _NotInjected
    return outcome


class _Edit:
    """An edit of a captured program; ``failed`` where it finds nothing to edit there."""

    def __init__(self, inject: Inject) -> None:
        self._inject = inject
        self.failed = False

    def __call__(self, program: ExportedProgram) -> ExportedProgram:
        try:
            program = self._inject(program) or program
        except Exception:  # an edit that looks for nodes of another program
            self.failed = True
        for module in program.graph_module.modules():
            if isinstance(module, torch.fx.GraphModule):
                module.recompile()
        return program


def _engine(bare: Any, edit: _Edit | None) -> Engine:
    export = bare.export
    if edit is not None:
        bare.export = _Faulty(export, edit)
    return as_engine(bare)


class _Faulty:
    """An ``export`` whose programs are edited."""

    def __init__(self, export: Any, edit: _Edit) -> None:
        self._export = export
        self._edit = edit
        self.__wrapped__ = export

    def __call__(self, *args: Any, **kwargs: Any) -> ExportedProgram:
        return self._edit(self._export(*args, **kwargs))


def main(groups: Sequence[str]) -> int:
    """Print a line for each fault and side of these groups, or of all, then the counts; the exit status is 1 where a
    wrong side was named.
    """
    totals: Counter[tuple[str, Named]] = Counter()
    for fault in (fault for group in groups or CATALOGUE for fault in CATALOGUE[group]):
        for engine in ("torch", "reference"):
            comparison = compared_with(fault, engine)
            totals[engine, comparison.named] += 1
            print(f"{fault.id:54} {fault.where:30} {engine:10} {comparison.named:13}", *_shown(comparison), flush=True)
    for (engine, named), count in sorted(totals.items()):
        print(f"{engine:10} {named:13} {count:>4}")
    return 1 if any(named == "wrong" for _, named in totals) else 0


def _shown(comparison: Comparison) -> list[str]:
    return [f"{each.name} ({each.place}) -> {each.culprit.name};" for each in comparison.findings if each.culprit]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
