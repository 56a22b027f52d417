"""Fixtures of the tests of the plugin itself."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path

import hypothesis
import pytest
from _pytest import pytester

#: Packages that runs in this process share. pytester forgets every module that such a run imports; torch cannot be
#: imported twice, half of the plugin would know another half's classes by the same names, and hypothesis would be
#: imported once a run.
SHARED = frozenset(
    {
        *("hypothesis", "numpy", "pytest_exportcheck", "sympy", "torch", "torchvision", "readline", "zope"),
        *("executorch", "ml_dtypes", "onnx", "onnx_ir", "onnxruntime", "onnxscript", "openvino", "torchao"),
    }
)


class Shared(pytester.SysModulesSnapshot):
    """The modules before a run in this process, to which those of the shared packages are added when it ends.

    The run does not see the test files of this project: one that it writes may have the name of one of them.
    """

    def __init__(self, preserve: Callable[[str], bool] | None = None) -> None:
        super().__init__(lambda name: name.partition(".")[0] in SHARED)
        for name in [name for name in sys.modules if name.startswith("test_")]:
            del sys.modules[name]


pytester.SysModulesSnapshot = Shared  # type: ignore[misc]

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


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test of a runtime whose extra is not installed."""
    from pytest_exportcheck.runtimes import bundled

    for marker in item.iter_markers("runtime"):
        for name in marker.args:
            runtime = next(each for each in bundled() if each.name == name)
            lacking = [needed for needed in runtime.needs if not list(distributions(name=needed))]
            if lacking:
                pytest.skip(f"{', '.join(lacking)} of the extra {runtime.extra} is not installed")
            if name == "aoti" and shutil.which("g++") is None:
                pytest.skip("aoti needs a C++ compiler")
