"""Every fault is found by the check that owns it, and none is found where there is none."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.faults.catalogue import FAULTS
from tests.faults.fault import Fault
from tests.faults.trial import run_sound, run_with

_PLACES = sorted({(fault.model, fault.where) for fault in FAULTS})


def test_every_fault_has_a_name_of_its_own():
    assert [name for name, count in Counter(fault.id for fault in FAULTS).items() if count > 1] == []


@pytest.mark.parametrize(("model", "where"), _PLACES, ids=[f"{model}-{where}" for model, where in _PLACES])
def test_without_a_fault_nothing_is_broken(model: str, where: str):
    outcome = run_sound(model, where)
    assert outcome.status in ("passed", "known"), [each for each in outcome.findings if each.verdict == "broken"]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_its_owner_finds_the_fault(fault: Fault):
    trial = run_with(fault)
    assert trial.found, (
        f"{fault.ledger or fault.owner} {fault.field} says nothing; noticed by {', '.join(trial.noticed_by) or 'nobody'}"
        f"\n{trial.outcome.reason}\n{trial.outcome.findings}"
    )
