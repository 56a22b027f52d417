"""The reference engine over exportdb and the corpus."""

from __future__ import annotations

import pytest
from populations_some import assert_sound, some

from benchmarks.populations import corpus, declared


@pytest.mark.parametrize("make", some(declared("exportdb:*")))
def test_exportdb(make):
    assert_sound(make)


@pytest.mark.parametrize("make", some(corpus()))
def test_corpus(make):
    assert_sound(make)
