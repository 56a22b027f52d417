"""Bundles for tests: the smallest records that make one."""

from __future__ import annotations

import platform

import torch

from pytest_exportcheck import __version__
from pytest_exportcheck.records import BundleEnvironment, RunSettings


def environment(**settings: object) -> BundleEnvironment:
    """Return the environment of this process, with one thread."""
    given: dict[str, object] = {
        "exportcheck": __version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "platform": "here",
        "profile": "ship",
        "seed": 0,
        "threads": 1,
    }
    made = RunSettings(**{**given, **settings})  # type: ignore[arg-type]
    return BundleEnvironment(settings=made, machine="here", cpu_capability="DEFAULT")
