"""Fixtures of the tests of the plugin itself."""

from __future__ import annotations

# pytester forgets, after a run in this process, every module that the run imported. torch cannot be imported twice, and
# half of the plugin would know another half's classes by the same names; hypothesis would be imported once a run.
import hypothesis
import hypothesis.configuration
import hypothesis.internal.detection
import torch._dynamo
import torch._export.serde.schema  # noqa: F401

import pytest_exportcheck.session.registration
import pytest_exportcheck.sources.torchvision  # noqa: F401

pytest_plugins = ["pytester"]

# Runs within runs share this process: what one of them finds must not be tried first by another.
hypothesis.settings.register_profile("tests", database=None, deadline=None, derandomize=True)
hypothesis.settings.load_profile("tests")
