"""Runs of the plugin on real engines, in this process: a process would load torch again, which takes longer than most runs.

Tests that use them need the fixture ``whole_torch``.
"""

from __future__ import annotations

import pytest


def check_all(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """With the second opinion."""
    return pytester.runpytest("--exportcheck", "-p", "no:cacheprovider", *arguments)


def check(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return check_all(pytester, "--exportcheck-engines=torch", *arguments)
