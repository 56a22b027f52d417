"""A finding on named inputs: its bundle has them, replays them, runs alone and is reduced."""

from __future__ import annotations

import importlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.export import ExportedProgram

from pytest_exportcheck.bundles.reduction.search import Budget
from pytest_exportcheck.engines.bare import as_engine
from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.run.hooks import Hooks
from pytest_exportcheck.run.reducing import reduced
from pytest_exportcheck.run.replay import registry_for, replay
from tests.unit.bundles_of import bundle_of, doubled

DOG = "sample 'dog'"


CLAMPED = """
import torch


class Clamped(torch.nn.Module):
    def forward(self, x):
        return x.clamp(max=5) if torch.compiler.is_exporting() else x + 0
"""


class Clamping(TorchExport):
    """Bounds what the program returns, in every lowering."""

    def decompose(self, program: ExportedProgram, decomp_table: Any = None) -> ExportedProgram:
        lowered = super().decompose(program)
        output = lowered.graph.output_node()
        (result,) = output.args[0]
        with lowered.graph.inserting_before(output):
            bounded = lowered.graph.call_function(torch.ops.aten.clamp.default, (result, None, 5))
        bounded.meta = dict(result.meta)
        output.args = ((bounded,),)
        lowered.graph_signature.output_specs[0].arg.name = bounded.name
        lowered.graph_module.recompile()
        return lowered


SAMPLES = {"cat": (torch.zeros(3),), "dog": (torch.full((3,), 9.0),)}


def test_a_replay_and_the_script_show_a_finding_on_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clamped_module.py").write_text(CLAMPED)
    monkeypatch.syspath_prepend(tmp_path)
    build = importlib.import_module("clamped_module").Clamped
    bundle = bundle_of(tmp_path / "found", doubled(build=build, samples=SAMPLES))
    assert (bundle.record.call, [site.label for site in bundle.record.finding.on]) == (DOG, [DOG])
    assert [call.label for call in bundle.calls().series] == [
        "the example inputs",
        "fresh inputs",
        "sample 'cat'",
        "sample 'dog'",
    ]
    replayed = replay(bundle, registry_for(Hooks()))
    assert replayed.verdict == "still fails"
    assert replayed.finding is not None
    assert [site.label for site in replayed.finding.on] == [DOG]
    ran = subprocess.run([sys.executable, str(bundle.folder / "repro.py")], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout.splitlines()) == (
        1,
        [
            "output",
            "  expected: tensor([9., 9., 9.])",
            "  got:      tensor([5., 5., 5.])",
            "1 places differ: it still fails",
        ],
    )


def test_a_finding_on_a_sample_is_reduced_to_one_call(tmp_path: Path) -> None:
    engine = as_engine(Clamping())
    bundle = bundle_of(
        tmp_path, doubled(build=torch.nn.ReLU, samples={"dog": SAMPLES["dog"]}), "nonstrict-decompose", engine
    )
    assert bundle.record.call == DOG
    registry = registry_for(Hooks())
    wrong = replace(registry, every_engine={**registry.every_engine, "torch": engine})
    made, _ = reduced(bundle, wrong, Budget(tries=12, seconds=60), lambda _: None)
    assert [call.label for call in made.candidate.calls] == [DOG]
