"""Shorthands for the evidence that checks look at."""

from __future__ import annotations

import pytest

from pytest_exportcheck.checks import align
from pytest_exportcheck.harness.observation import observe
from pytest_exportcheck.policy import ALIGNMENT, contract_for, fields_for
from pytest_exportcheck.records import Evidence, Inputs, Record


@pytest.fixture
def evidence():
    """Evidence from two records; ``stage`` decides how strict the checks are, and how nodes are paired."""

    def make(before, after, *, stage="serdes", **options):
        how = ALIGNMENT.get(stage)
        paired = align(before.program, after.program, how) if how and before.program and after.program else None
        given = {
            "case": "net",
            "engine": "torch",
            "mode": f"nonstrict-{stage}",
            "stage": stage,
            "contract": contract_for(stage),
            "fields": fields_for(stage),
            "alignment": paired,
        }
        return Evidence(before=before, after=after, **{**given, **options})

    return make


@pytest.fixture
def record_of():
    """What calling a function with these arguments amounts to."""

    def make(run, *args, label="a call", calls=1, snapshot=None):
        given = [Inputs(label if calls == 1 else f"{label} {n + 1}", args, {}) for n in range(calls)]
        return Record(observations=observe(run, given, snapshot=snapshot, seed=0))

    return make
