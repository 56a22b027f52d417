"""Models of the populations for tests: some, or all with ``EXPORTCHECK_SOUND=1``."""

from __future__ import annotations

import os
import warnings
from functools import partial

import pytest

from tests.differential.populations import captured, captured_alike, lowered, run
from tests.differential.roundtrips import faults, judged

SOUND = bool(os.environ.get("EXPORTCHECK_SOUND"))


def some(items, every=1, without=()):
    taken = [(name, make) for name, make in items if name not in without]
    return [pytest.param(make, id=name) for name, make in taken[:: 1 if SOUND else every]]


#: Of these torch drops below autograd what has an effect: an unused random tensor moves the generator, an unused number was checked.
DROPPED = ("tensor_setattr", "constrain_as_value_example")


def assert_sound(make, strict=False):
    """What torch captures the reference exporter captures alike; our files lose nothing of it, and are read by torch's
    other half, as we read torch's, where its own pair handles the program."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = make()
        assert faults(judged(captured(model, strict=strict), partial(run, model))) == {}
        assert set(captured_alike(model, strict).values()) == {""}
        if not strict:
            assert model.name in DROPPED or set(lowered(model).values()) <= {""}
