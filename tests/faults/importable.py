"""Engines with a fault that a script can import: ``from tests.faults.importable import one_element_zeroed``."""

from __future__ import annotations

from functools import cache

from pytest_exportcheck.modes import Mode
from tests.faults.catalogue import FAULTS
from tests.faults.test_fault_bundles import AlwaysFaulty


@cache
def __getattr__(name: str) -> type[AlwaysFaulty]:
    """Make the class of a fault's engine, which needs no arguments."""
    fault = next((each for each in FAULTS if each.id.replace("-", "_") == name), None)
    if fault is None:
        raise AttributeError(name)
    mode = Mode.parse(fault.where)
    stage, inject = mode.last if mode.edge else "capture", fault.inject

    def begin(self: AlwaysFaulty) -> None:
        AlwaysFaulty.__init__(self, stage, inject)

    return type(name, (AlwaysFaulty,), {"__init__": begin, "__module__": __name__, "__qualname__": name})
