"""Fuzzing finds every defect of the library at three seeds and shrinks it to its smallest sizes, and nothing without it."""

from __future__ import annotations

import pytest

from tests.sized.library import SIZED
from tests.sized.run import fuzzed

#: Kind of defect -> how the finding names it.
NAMED = {"differs": ("outputs", "effects"), "refuses": ("sizes",), "accepts": ("sizes",)}


def label(entry):
    if entry.kind != "accepts":
        return ", ".join(f"{name}={size}" for name, size in entry.minimal.items())
    return ", ".join(f"args[0].size(0)={size}" for size in entry.minimal.values())


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("entry", SIZED, ids=lambda each: each.id)
def test_the_defect_is_found_and_shrunk(entry, seed):
    outcome = fuzzed(entry, seed=seed, examples=200)
    found = {on for finding in outcome.findings if finding.check in NAMED[entry.kind] for on in finding.on}
    assert outcome.status == "failed" and label(entry) in found, outcome.findings


@pytest.mark.parametrize("entry", SIZED, ids=lambda each: each.id)
def test_nothing_is_found_without_the_defect(entry):
    outcome = fuzzed(entry, seed=0, examples=1000, sound=True)
    assert outcome.status == "passed", outcome.findings
    assert {finding.verdict for finding in outcome.findings} <= {"lost"}


def test_the_silent_error_at_size_one_falls_within_ten():
    (entry,) = [each for each in SIZED if each.id == "torch-branch-on-one"]
    for seed in range(5):
        assert fuzzed(entry, seed=seed, examples=10).status == "failed"
