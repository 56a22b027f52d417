"""Shorthands for the evidence that checks look at."""

from __future__ import annotations

import pytest

from pytest_exportcheck.observe import observe
from pytest_exportcheck.policy import contract_for
from pytest_exportcheck.records import Evidence, Inputs, Record


@pytest.fixture
def evidence():
    """Evidence from two records; ``stage`` decides how strict the checks are."""

    def make(before, after, *, stage="serdes", **options):
        levels = contract_for(stage)
        return Evidence(
            case="net",
            engine="torch",
            mode=f"nonstrict-{stage}",
            stage=stage,
            before=before,
            after=after,
            contract=levels,
            **options,
        )

    return make


@pytest.fixture
def record_of():
    """What calling a function with these arguments amounts to."""

    def make(run, *args, label="a call", calls=1, snapshot=None):
        given = [Inputs(label if calls == 1 else f"{label} {n + 1}", args, {}) for n in range(calls)]
        return Record(observations=observe(run, given, snapshot=snapshot, seed=0))

    return make
