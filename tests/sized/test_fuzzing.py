"""Fuzzing finds every defect of the library at three seeds and shrinks it to its smallest sizes, and nothing without it.

Each entry is tried at one of the seeds, and without its defect on 200 examples; ``make nightly`` takes all seeds and 1000.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from packaging.specifiers import SpecifierSet
from torch.export import ExportedProgram

from pytest_exportcheck.engines.bare import as_engine
from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.options import Fuzzing
from pytest_exportcheck.records import Case, Origin, Outcome
from pytest_exportcheck.run.runner import Runner
from tests.sized.library import SIZED
from tests.sized.sized import Sized

HERE = [each for each in SIZED if SpecifierSet(each.torch).contains(torch.__version__, prereleases=True)]

#: Its defect shows on the example too, if not in the outputs: the item of the mode itself tells it.
AT_THE_EXAMPLE = ("not-a-number-at-one",)


SEEDS = (1, 2, 3)


def at_seeds() -> Iterator[Any]:
    """Yield each entry with each seed; all but one of the seeds, another one from entry to entry, are slow."""
    for index, entry in enumerate(HERE):
        for seed in SEEDS:
            marks = () if seed == SEEDS[index % len(SEEDS)] else pytest.mark.slow
            yield pytest.param(entry, seed, marks=marks, id=f"{entry.id}-{seed}")


class Defective(TorchExport):
    """``torch.export``, and the edit of an entry after it."""

    def __init__(self, entry: Sized) -> None:
        self._entry = entry

    def export(self, *args: Any, **kwargs: Any) -> ExportedProgram:
        program = super().export(*args, **kwargs)
        return (self._entry.edit(program) or program) if self._entry.edit else program


def fuzzed(entry: Sized, *, seed: int, examples: int, sound: bool = False) -> tuple[Outcome, Outcome]:
    """What became of the mode, and of fuzzing it; hypothesis's seed follows from the names."""
    engine = as_engine(TorchExport() if sound else Defective(entry))
    case = Case(
        name=entry.id,
        build=entry.sound if sound else entry.build,
        origin=Origin(f"seed_{seed}", __file__, 1),
        args=entry.args,
        dynamic_shapes=entry.dynamic_shapes,
    )
    runner = Runner({engine.name: engine}, threads=1, seed=seed, fuzz=Fuzzing(examples=examples))
    mode = Mode(("strict" if entry.strict else "nonstrict",))
    runner.select((case, engine.name, each) for each in (mode, mode.fuzzed))
    return runner.run(case, engine.name, mode), runner.run(case, engine.name, mode.fuzzed)


@pytest.mark.parametrize(("entry", "seed"), at_seeds())
def test_the_defect_is_found_and_shrunk(entry, seed):
    before, outcome = fuzzed(entry, seed=seed, examples=200)
    if entry.id in AT_THE_EXAMPLE:
        assert before.status == "failed"
        return
    told = [finding for finding in outcome.findings if finding.verdict != "tolerated"]
    assert told, outcome
    smallest = ", ".join(f"{name}={size}" for name, size in (entry.minimal or {}).items())
    found = {site.label for finding in told for site in finding.on}
    known = any(finding.verdict == "known" for finding in told)  # is told once, wherever it was met
    assert entry.minimal is None or smallest in found or known, found


@pytest.mark.parametrize("examples", [200, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("entry", HERE, ids=lambda each: each.id)
def test_nothing_is_found_without_the_defect(entry, examples):
    _, outcome = fuzzed(entry, seed=0, examples=examples, sound=True)
    assert [finding for finding in outcome.findings if finding.verdict != "tolerated"] == []
    assert outcome.status == "passed", outcome


def test_the_silent_error_at_size_one_falls_within_ten():
    (entry,) = [each for each in HERE if each.id == "branch-on-size-one"]
    for seed in range(5):
        assert fuzzed(entry, seed=seed, examples=10)[1].status == "failed"
