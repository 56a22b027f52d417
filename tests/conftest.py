"""Fixtures of the tests of the plugin itself."""

from __future__ import annotations

# pytester forgets, after a run in this process, every module that the run imported. torch cannot be imported twice, and
# half of the plugin would know another half's classes by the same names; hypothesis would be imported once a run.
import hypothesis.configuration
import hypothesis.internal.detection  # noqa: F401
import torch._dynamo
import torch._export.serde.schema  # noqa: F401

import pytest_exportcheck.session
import pytest_exportcheck.sources.torchvision  # noqa: F401

pytest_plugins = ["pytester"]
