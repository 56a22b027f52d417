"""The origin of a wrong value is the node that a fault changed, or one that uses it."""

from __future__ import annotations

from functools import cache

import pytest

from pytest_exportcheck.records import DifferenceOrigin
from tests.faults.catalogue import CATALOGUE
from tests.faults.fault import Fault
from tests.faults.trial import Trial, run_with

_VALUES = ("outputs", "effects", "gradients")
_FAULTS = [fault for group in ("origins", "values", "gradients", "closeness") for fault in CATALOGUE[group]]


@cache
def _trial(fault: Fault) -> Trial:
    return run_with(fault)


def _origin(trial: Trial) -> DifferenceOrigin | None:
    found = (each.origin for each in trial.outcome.findings if each.check in _VALUES and each.origin is not None)
    return next(found, None)


def _named(trial: Trial) -> str:
    """The name of the node at the origin, without the path of its graph."""
    origin = _origin(trial)
    return origin.after.name.rpartition(".")[2] if origin and origin.after else ""


def _names(places: frozenset[str]) -> set[str]:
    return {place.rpartition(".")[2] for place in places}


def _is_of_a_node(fault: Fault) -> bool:
    """Whether a fault changes what a node computes: others are about what is returned, held or drawn."""
    trial = _trial(fault)
    return bool(trial.edited) and fault.owner in _VALUES and _origin(trial) is not None


def _next_to(trial: Trial) -> set[str]:
    """The faulty nodes and those that use their values; for a gradient, which goes the other way, those they use."""
    near = trial.given if trial.fault.owner == "gradients" else trial.users
    return _names(trial.edited | near)


@pytest.mark.parametrize("fault", CATALOGUE["origins"], ids=lambda fault: fault.id)
def test_the_origin_is_the_faulty_node_or_one_that_uses_it(fault: Fault):
    trial = _trial(fault)
    assert _named(trial) in _next_to(trial), trial.outcome.findings


def test_the_origin_is_the_faulty_node_nearly_always():
    judged = [fault for fault in _FAULTS if _is_of_a_node(fault) and fault.owner != "gradients"]
    missed = {
        fault.id: _named(_trial(fault)) for fault in judged if _named(_trial(fault)) not in _names(_trial(fault).edited)
    }
    assert len(judged) >= 40
    assert len(missed) <= len(judged) * 0.05, missed


def test_it_is_that_node_or_one_next_to_it_for_gradients_too():
    far = {
        fault.id: _named(_trial(fault))
        for fault in _FAULTS
        if _is_of_a_node(fault)
        and fault.id not in _NOT_COMPARABLE
        and _named(_trial(fault)) not in _next_to(_trial(fault))
    }
    assert far == {}


def test_an_origin_is_drawn_with_what_is_around_it():
    judged = [_origin(_trial(fault)) for fault in _FAULTS if _is_of_a_node(fault)]
    marked = [
        [node.name for node in origin.near_after if node.is_origin] == [origin.after.name]
        for origin in judged
        if origin is not None and origin.after is not None
    ]
    assert all(2 <= len(origin.near_after) <= 8 for origin in judged if origin is not None and origin.after is not None)
    assert sum(marked) >= 0.95 * len(marked)


#: Eager takes nested tensors there and the program does not, or the gradient is zero but for rounding: no two values
#: of the runs are alike.
_NOT_COMPARABLE = ("kernel-of-the-fast-path-off-by-a-ten-thousandth", "key-bias-gradient-off-by-a-hundred-thousandth")
