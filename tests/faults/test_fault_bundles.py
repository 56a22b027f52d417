"""The bundle of a wrong value fails as long as the fault is there, and no longer than that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.export import ExportedProgram

from pytest_exportcheck.bundles.failure import Failure
from pytest_exportcheck.bundles.read import Bundle, read_bundle
from pytest_exportcheck.bundles.write import write_bundle
from pytest_exportcheck.engines.artifacts import on_program, wrapped_edge
from pytest_exportcheck.engines.bare import as_engine
from pytest_exportcheck.engines.protocol import Engine
from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.options import Options
from pytest_exportcheck.run.hooks import Hooks
from pytest_exportcheck.run.registry import registry_of
from pytest_exportcheck.run.replay import replay
from pytest_exportcheck.run.runner import Runner
from tests.faults.catalogue import CATALOGUE
from tests.faults.engine import duplicate
from tests.faults.fault import Fault, Inject
from tests.faults.models import MODELS
from tests.unit.bundles_of import environment

_FAULTS = [
    fault
    for group in ("values", "origins", "gradients", "effects", "closeness")
    for fault in CATALOGUE[group]
    if fault.owner
]
#: One of a capture, one of an edge, and one of a gradient.
_SOME = ("one-ulp-off", "one-element-zeroed", "layer-detached")


class AlwaysFaulty(TorchExport):
    """``torch.export`` with a fault in every run of one stage: a replay runs only the last one."""

    def __init__(self, stage: str, inject: Inject) -> None:
        self._stage = stage
        self._inject = inject

    def export(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> ExportedProgram:
        captured = super().export(module, *args, **kwargs)
        of_program = isinstance(module, torch.fx.GraphModule) and hasattr(module, "_guards_fn")
        return self._passed("retrace" if of_program else "capture", captured)

    def decompose(self, *args: Any, **kwargs: Any) -> ExportedProgram:
        return self._passed("decompose", super().decompose(*args, **kwargs))

    def load(self, *args: Any, **kwargs: Any) -> ExportedProgram:
        return self._passed("serdes", super().load(*args, **kwargs))

    def exchange(self, program: ExportedProgram) -> ExportedProgram:
        return self._passed("exchange", duplicate(program))

    def _passed(self, stage: str, program: ExportedProgram) -> ExportedProgram:
        if stage != self._stage:
            return program
        program = self._inject(program) or program
        for module in program.graph_module.modules():
            if isinstance(module, torch.fx.GraphModule):
                module.recompile()
        return program


def _engine(fault: Fault, inject: Inject) -> Engine:
    mode = Mode.parse(fault.where)
    bare = AlwaysFaulty(mode.last if mode.edge else "capture", inject)
    engine = as_engine(bare)
    edges = {**engine.edges, "exchange": wrapped_edge(on_program(bare.exchange), "exchange")}
    return replace(engine, edges=edges, contract_of={"exchange": "serdes"})


def _bundle(fault: Fault, folder: Path) -> Bundle:
    engine = _engine(fault, fault.inject)
    runner = Runner({engine.name: engine}, profile="ship", threads=1)
    failures: list[Failure] = []
    outcome = runner.judge(MODELS[fault.model], engine.name, Mode.parse(fault.where), failures.append).outcome
    written = write_bundle(folder, failures[0], replace(outcome, nodeid=fault.id), environment())
    return read_bundle(written.folder)


def _replayed(bundle: Bundle, engine: Engine) -> str:
    registry = registry_of(Options(active=True), Hooks())
    return replay(bundle, replace(registry, every_engine={engine.name: engine})).verdict


def _check(fault: Fault, folder: Path) -> None:
    bundle = _bundle(fault, folder)
    with_fault, without = _engine(fault, fault.inject), _engine(fault, lambda _: None)
    assert (_replayed(bundle, with_fault), _replayed(bundle, without)) == ("still fails", "fixed")


@pytest.mark.parametrize("fault", [each for each in _FAULTS if each.id in _SOME], ids=lambda fault: fault.id)
def test_a_bundle_fails_with_the_fault_and_not_without_it(fault: Fault, tmp_path: Path) -> None:
    _check(fault, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("fault", [each for each in _FAULTS if each.id not in _SOME], ids=lambda fault: fault.id)
def test_so_does_the_bundle_of_every_wrong_value(fault: Fault, tmp_path: Path) -> None:
    _check(fault, tmp_path)
