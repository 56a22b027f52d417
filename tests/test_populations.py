"""The reference engine over torch's own samples: of what torch captures it captures the same, and its files keep all of it.

``EXPORTCHECK_SOUND=1`` takes every sample instead of some.
"""

from __future__ import annotations

import os
import warnings

import pytest

pytest.importorskip("numpy", reason="torch's samples of operators need numpy, which is not installed")

from benchmarks.populations import CHECKS, POPULATIONS, Tally, judge

#: Population -> every how many of it.
SOME = {"modules": 12, "operators": 45, "higher-order operators": 3}


@pytest.mark.parametrize("population", SOME)
def test_what_torch_captures_is_captured_alike_and_kept(population):
    tally = Tally()
    every = 1 if os.environ.get("EXPORTCHECK_SOUND") else SOME[population]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, model in enumerate(POPULATIONS[population]()):
            if number % every == 0:
                judge(model, tally)
    assert tally.notes == []
    assert all(tally.well[check] > 2 for check in CHECKS)
