"""A replay runs the stage again and says whether the finding is still there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.export import Dim

from pytest_exportcheck.bundles.read import Bundle
from pytest_exportcheck.engines.bare import as_engine
from pytest_exportcheck.run.replay_command import replayed
from tests.unit.bundles_of import Doubled, Shifting, bundle_of, doubled


def _replay(*bundles: Bundle | Path, drop: bool = False) -> tuple[int, Sequence[str]]:
    lines: list[str] = []
    folders = [each.folder if isinstance(each, Bundle) else each for each in bundles]
    status = replayed(folders, [], lines.append, drop_weights=drop)
    return status, [line for line in lines if not line.startswith("    ")]


def _rewritten(bundle: Bundle, **changes: Any) -> Bundle:
    path = bundle.folder / "finding.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return bundle


def test_a_finding_that_is_still_there_fails(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, doubled())
    assert _replay(bundle) == (
        1,
        [
            f"{bundle.folder}: STILL FAILS: outputs: output: value",
            "  outputs: output: value  (on the example inputs and fresh inputs)",
        ],
    )


def test_a_finding_that_is_gone_is_fixed(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, doubled())
    source = bundle.folder / "source/tests/unit/bundles_of.py"
    source.write_text(source.read_text().replace("(2 if torch.compiler.is_exporting() else 1)", "1"))
    assert _replay(bundle) == (0, [f"{bundle.folder}: FIXED"])


def test_another_finding_fails_differently(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, doubled())
    source = bundle.folder / "source/tests/unit/bundles_of.py"
    source.write_text(
        source.read_text().replace("2 if torch.compiler.is_exporting()", "[][0] if torch.compiler.is_exporting()")
    )
    status, lines = _replay(bundle)
    assert (status, lines[0], lines[-1]) == (
        2,
        f"{bundle.folder}: FAILS DIFFERENTLY: stage: nonstrict: IndexError: list index out of range",
        "  recorded was outputs: output: value",
    )


def test_the_status_of_several_is_the_highest(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, doubled())
    status, lines = _replay(bundle, tmp_path / "none")
    assert (status, lines[-1]) == (
        3,
        f"exportcheck: {tmp_path / 'none'} is not a folder. Name one that pytest --exportcheck-repro-dir wrote.",
    )


def test_an_edge_is_replayed_from_its_program(tmp_path: Path) -> None:
    case = doubled(build=torch.nn.Tanh)
    bundle = bundle_of(tmp_path, case, "nonstrict-decompose", as_engine(Shifting()))
    assert (bundle.record.start, bundle.record.left_out) == ("program", ())
    assert _replay(bundle) == (0, [f"{bundle.folder}: FIXED"])


def test_a_drawn_size_is_replayed_alone(tmp_path: Path) -> None:
    case = doubled(build=Steps, args=(torch.ones(4, 3),), dynamic_shapes={"x": {0: Dim("rows", min=2, max=32)}})
    bundle = bundle_of(tmp_path, case, "nonstrict-fuzz")
    assert (bundle.record.finding.check, bundle.calls().series[0].sizes) == ("outputs", (("rows", 11),))
    assert _replay(bundle)[1][0] == f"{bundle.folder}: STILL FAILS: outputs: output: value"


def test_a_module_without_a_name_cannot_be_replayed(tmp_path: Path) -> None:
    class Local(Doubled):
        pass

    bundle = bundle_of(tmp_path, doubled(build=lambda: Local()))
    assert bundle.record.start == "nothing"
    status, (line,) = _replay(bundle)
    assert (status, line.partition(" (the module: ")[0], line.rpartition(". ")[2]) == (
        3,
        f"exportcheck: {bundle.folder} cannot be replayed: it has no module",
        "Run repro.py, which compares the recorded values with the recorded program.",
    )


def test_an_engine_that_no_plugin_adds_is_named(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, doubled())
    outcome = json.loads((bundle.folder / "finding.json").read_text())["outcome"]
    assert _replay(_rewritten(bundle, outcome={**outcome, "engine": "acme"})) == (
        3,
        [
            f"exportcheck: {bundle.folder} is of the engine 'acme', which no plugin here adds. Engines: torch, reference. Name the "
            "plugin that adds it: exportcheck replay -p PLUGIN FOLDER."
        ],
    )


def test_a_plugin_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    lines: list[str] = []
    status = replayed([tmp_path], ["no_such_plugin"], lines.append)
    assert (status, lines) == (
        3,
        [
            'exportcheck: -p no_such_plugin: the plugin cannot be imported (Error importing plugin "no_such_plugin": No module named '
            "'no_such_plugin'). Name a module on Python's path."
        ],
    )


def test_another_version_of_torch_is_named(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, doubled())
    path = bundle.folder / "environment.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "settings": {**content["settings"], "torch": "2.99.0"}}))
    status, lines = _replay(bundle)
    assert (status, lines[-1]) == (1, f"  recorded with torch 2.99.0 (here: {torch.__version__})")


def test_weights_are_replaced_if_the_finding_remains(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, doubled())
    status, lines = _replay(bundle, drop=True)
    state = torch.load(bundle.folder / "state.pt", weights_only=True)
    assert (status, lines[-1]) == (1, "  its weights are random ones now: the finding remains with them")
    assert float(state["weight"].min()) >= 0.1 and state["weight"].tolist() != [1.0, 1.0, 1.0]
    assert "weights: random ones" in (bundle.folder / "README.md").read_text()


def test_weights_are_kept_if_it_does_not(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, doubled(build=OnlyOnes))
    status, lines = _replay(bundle, drop=True)
    state = torch.load(bundle.folder / "state.pt", weights_only=True)
    assert (status, lines[-1]) == (
        1,
        "  its weights (12 bytes) are kept: with random ones the finding does not remain",
    )
    assert (state["weight"].tolist(), [each.name for each in tmp_path.iterdir()]) == (
        [1.0, 1.0, 1.0],
        [bundle.folder.name],
    )


class Steps(torch.nn.Module):
    """Eager computes something else from eleven rows on."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * (2 if not torch.compiler.is_exporting() and x.shape[0] > 10 else 1)


class OnlyOnes(Doubled):
    """The capture is wrong only if all weights are one."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wrong = (self.weight == 1).all() if torch.compiler.is_exporting() else torch.tensor(False)
        return x * self.weight * torch.where(wrong, 2, 1)
