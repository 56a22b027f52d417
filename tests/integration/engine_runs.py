"""Runs of the plugin in a process of its own."""

from __future__ import annotations

import pytest


def check_all(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """With the second opinion."""
    return pytester.runpytest_subprocess("--exportcheck", "-p", "no:cacheprovider", *arguments)


def check(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return check_all(pytester, "--exportcheck-engines=torch", *arguments)
