"""The bundle of a wrong value is reduced to a script of a few lines that still shows it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_exportcheck.bundles.failure import Failure
from pytest_exportcheck.bundles.read import Bundle, read_bundle
from pytest_exportcheck.bundles.reduction.search import Budget
from pytest_exportcheck.bundles.write import write_bundle
from pytest_exportcheck.engines.bare import as_engine
from pytest_exportcheck.engines.protocol import Engine
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.options import Options
from pytest_exportcheck.run import reduced_script
from pytest_exportcheck.run.hooks import Hooks
from pytest_exportcheck.run.reduce_command import reduce_bundle
from pytest_exportcheck.run.registry import registry_of
from pytest_exportcheck.run.replay import replay
from pytest_exportcheck.run.runner import Runner
from tests.faults import importable
from tests.faults.catalogue import CATALOGUE
from tests.faults.fault import Fault
from tests.faults.models import MODELS
from tests.unit.bundles_of import environment

_FAULTS = [
    fault
    for group in ("values", "origins", "gradients", "effects", "closeness")
    for fault in CATALOGUE[group]
    if fault.owner in ("outputs", "effects", "gradients")
    and Mode.parse(fault.where).edge
    and Mode.parse(fault.where).last in ("decompose", "serdes", "retrace")
]
#: One of each edge.
_SOME = ("zero-becomes-nan", "output-on-another-device", "constant-of-a-product-changed")
#: Keys of findings that no script of plain torch shows.
_UNSEEN = ("container_update", "generator")
#: Lines of a script at most.
_MOST_LINES = 39


def _engine(fault: Fault) -> Engine:
    made: Callable[[], object] = getattr(importable, fault.id.replace("-", "_"))
    return as_engine(made())


def _bundle(fault: Fault, engine: Engine, folder: Path) -> Bundle:
    runner = Runner({engine.name: engine}, profile="ship", threads=1)
    failures: list[Failure] = []
    outcome = runner.judge(MODELS[fault.model], engine.name, Mode.parse(fault.where), failures.append).outcome
    written = write_bundle(folder, failures[0], replace(outcome, nodeid=fault.id), environment())
    return read_bundle(written.folder)


def _reduce(fault: Fault, folder: Path) -> list[str]:
    """Reduce the bundle of a fault, and return the lines that were written about it."""
    engine = _engine(fault)
    registry = replace(registry_of(Options(active=True), Hooks()), every_engine={engine.name: engine})
    lines: list[str] = []
    bundle = _bundle(fault, engine, folder)
    if bundle.record.finding.key in _UNSEEN:
        pytest.skip("torch shows no container that a call changes: the script loads the program")
    place = reduce_bundle(bundle, folder / "reduced", registry, Budget(), lines.append)
    assert replay(read_bundle(place), registry).verdict == "still fails"
    script = (place / "repro.py").read_text(encoding="utf-8")
    assert f"from tests.faults.importable import {fault.id.replace('-', '_')}\n" in script, lines
    assert len(script.splitlines()) <= _MOST_LINES
    return lines


@pytest.mark.parametrize("fault", [each for each in _FAULTS if each.id in _SOME], ids=lambda fault: fault.id)
def test_a_reduced_bundle_still_fails_with_one_node(
    fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reduced_script, "_exits_with_one", reduced_script._fails)  # a process costs five seconds
    lines = _reduce(fault, tmp_path)
    assert next(each for each in lines if not each.startswith(" ")).split(" after ")[0].endswith("-> 1")


@pytest.mark.slow
@pytest.mark.parametrize("fault", [each for each in _FAULTS if each.id not in _SOME], ids=lambda fault: fault.id)
def test_so_does_the_reduced_bundle_of_every_wrong_value(
    fault: Fault, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("reduced", json.dumps(_reduce(fault, tmp_path)))
