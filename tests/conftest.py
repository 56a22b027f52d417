"""Fixtures of the tests of the plugin itself."""

from __future__ import annotations

from pathlib import Path

# pytester forgets, after a run in this process, every module that the run imported. torch cannot be imported twice, and
# half of the plugin would know another half's classes by the same names; hypothesis would be imported once a run.
import hypothesis
import hypothesis.configuration
import hypothesis.internal.detection
import pytest
import torch._dynamo
import torch._export.serde.schema  # noqa: F401

import pytest_exportcheck.session.registration
import pytest_exportcheck.sources.torchvision  # noqa: F401

pytest_plugins = ["pytester"]

# Runs within runs share this process: what one of them finds must not be tried first by another.
hypothesis.settings.register_profile("tests", database=None, deadline=None, derandomize=True)
hypothesis.settings.load_profile("tests")

#: The fixtures whose tests run on the cheap engine of ``tests/integration/conftest.py``.
ECHO = frozenset({"echo", "run_echo", "run_faulty"})
UNIT = Path(__file__).parent / "unit"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make test-quick` runs: the unit tests and the tests on the engine ``echo``, except slow ones."""
    for item in items:
        echo = ECHO.intersection(getattr(item, "fixturenames", ()))
        if (echo or UNIT in item.path.parents) and item.get_closest_marker("slow") is None:
            item.add_marker("quick")
