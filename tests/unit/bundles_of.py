"""Bundles for tests: of a small module that a capture gets wrong."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from pytest_exportcheck import __version__
from pytest_exportcheck.bundles.failure import Failure
from pytest_exportcheck.bundles.read import Bundle, read_bundle
from pytest_exportcheck.bundles.write import write_bundle
from pytest_exportcheck.engines.bare import as_engine
from pytest_exportcheck.engines.protocol import Engine
from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.records import BundleEnvironment, Case, Origin, Outcome, RunSettings
from pytest_exportcheck.run.runner import Runner


def environment(**settings: object) -> BundleEnvironment:
    """Return the environment of this process, with one thread."""
    given: dict[str, object] = {
        "exportcheck": __version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "platform": "here",
        "profile": "ship",
        "seed": 0,
        "threads": 1,
    }
    made = RunSettings(**{**given, **settings})  # type: ignore[arg-type]
    return BundleEnvironment(settings=made, machine="here", cpu_capability="DEFAULT")


class Doubled(torch.nn.Module):
    """Computes something else while it is exported."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weight * (2 if torch.compiler.is_exporting() else 1)


def failure_of(case: Case, mode: str = "nonstrict", engine: Engine | None = None) -> tuple[Failure, Outcome]:
    """Run a mode of a case that fails; return its live objects and its outcome."""
    used = engine or as_engine(TorchExport())
    failures: list[Failure] = []
    runner = Runner({used.name: used}, profile="ship", threads=1)
    outcome = runner.judge(case, used.name, Mode.parse(mode), failures.append).outcome
    return failures[0], replace(outcome, nodeid=f"case_net.py::{case.name}")


def doubled(**options: Any) -> Case:
    """Return the case of a module that a capture gets wrong."""
    given: dict[str, Any] = {"name": "doubled", "build": Doubled, "args": (torch.arange(1.0, 4.0),), **options}
    return Case(origin=Origin(__name__, __file__, 1), **given)


def bundle_of(folder: Path, case: Case, mode: str = "nonstrict", engine: Engine | None = None) -> Bundle:
    """Write the bundle of a case that fails, and read it."""
    failure, outcome = failure_of(case, mode, engine)
    return read_bundle(write_bundle(folder, failure, outcome, environment()).folder)


class Shifting(TorchExport):
    """Adds one to what the program returns, in every lowering."""

    def decompose(self, program: ExportedProgram, decomp_table: Any = None) -> ExportedProgram:
        lowered = super().decompose(program)
        output = lowered.graph.output_node()
        (result,) = output.args[0]
        with lowered.graph.inserting_before(output):
            moved = lowered.graph.call_function(torch.ops.aten.add.Tensor, (result, 1))
        moved.meta.update(result.meta)
        moved.name = result.name
        output.args = ((moved,),)
        lowered.graph_signature.output_specs[0].arg.name = moved.name
        lowered.graph_module.recompile()
        return lowered
