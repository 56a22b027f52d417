"""Spoiled files: each is a program or a typed error, in little time, and nothing else comes of reading it.

``EXPORTCHECK_SOUND=1`` reads thirty times as many. A failure names the sample, the way and the seed that make its file again.
"""

from __future__ import annotations

import os

import pytest

from tests.hostile.programs import samples
from tests.hostile.watching import watched
from tests.hostile.ways import WAYS, load, spoil

ROUNDS = 60 if not os.environ.get("EXPORTCHECK_SOUND") else 1800


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sample", samples())
def test_what_is_spoiled_loads_or_says_why_not(sample, way):
    found = {}
    for seed in range(ROUNDS):
        try:
            read = spoil(sample, way, seed)
        except RecursionError:  # nested too deeply to be written as JSON
            continue
        seen = watched(read)
        if seen.misdeeds:
            found[seed] = seen.misdeeds
    assert found == {}


@pytest.mark.parametrize("sample", samples())
def test_what_is_not_spoiled_loads(sample):
    seen = watched(lambda: load(samples()[sample].records))
    pickled = sample == "classes-torch"  # its example inputs have a class, which torch pickles
    assert (seen.outcome, seen.misdeeds) == ("PayloadError" if pickled else "loaded", [])
