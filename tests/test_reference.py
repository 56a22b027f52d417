"""The reference reader and writer over exportdb, which nobody here wrote."""

from __future__ import annotations

import warnings
from functools import partial

import pytest
from reference_roundtrip import assert_lossless

from benchmarks.serde_populations import captured, declared, run

EXPORTDB = dict(declared("exportdb:*"))


@pytest.mark.parametrize("name", EXPORTDB)
def test_exportdb(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = EXPORTDB[name]()
        assert_lossless(captured(model), partial(run, model))
