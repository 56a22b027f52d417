"""Runs that end early: a timeout shows the user's lines, and no folder stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

HANGS = """
import time, torch
from pytest_exportcheck import export_case

def deep(depth):
    if depth:
        return deep(depth - 1)
    open("started", "w").close()
    time.sleep(60)

@export_case(args=lambda: (torch.randn(2),))
class Net(torch.nn.Module):
    def forward(self, x):
        deep(2)
        return x
"""
LINES = [
    "Your code was at (innermost last):",
    "  *case_net.py:13 in forward: deep(2)",
    "  *case_net.py:6 in deep: return deep(depth - 1)",
    "  *case_net.py:6 in deep: return deep(depth - 1)",
    "  *case_net.py:8 in deep: time.sleep(60)",
]


@pytest.fixture
def start(echo, monkeypatch):
    """Starts pytest on a model that hangs, with a folder of its own for temporary files."""
    folder = echo.mkdir("temporary")
    monkeypatch.setenv("TMPDIR", str(folder))
    echo.makepyfile(case_net=HANGS)

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:faulthandler", "--exportcheck"]
        command += ["--exportcheck-engines=echo", "--exportcheck-modes=nonstrict", *arguments]
        return subprocess.Popen(command, cwd=echo.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    return start


def left_behind(echo) -> list[str]:
    return [path.name for path in (echo.path / "temporary").glob("exportcheck-*")]


@pytest.mark.parametrize("method", ["signal", "thread"])
def test_a_timeout_shows_the_lines_of_the_user(echo, start, method):
    pytest.importorskip("pytest_timeout", reason="pytest-timeout is not installed")
    output, _ = start("--timeout=1", f"--timeout-method={method}").communicate(timeout=120)
    lines = output.splitlines()
    head = "*Timeout (>1.0s) from pytest-timeout."
    if method == "thread":
        head = "case_net.py::Net[[]echo-nonstrict[]] ran for more than 1.0s, and pytest-timeout's method thread ends the process."
    pytest.LineMatcher(lines).fnmatch_lines([head, *LINES], consecutive=True)
    assert len(lines) < 60
    assert left_behind(echo) == []


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("workers", "sent"),
    [((), signal.SIGTERM), (("-n1",), signal.SIGINT)],
    ids=["terminated", "interrupted with workers"],
)
def test_an_interrupted_run_leaves_no_folder(echo, start, workers, sent):
    if workers:
        pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    process = start(*workers)
    for _ in range(600):
        if (echo.path / "started").exists():
            break
        time.sleep(0.1)
    assert left_behind(echo) != []
    process.send_signal(sent)
    process.communicate(timeout=180)
    assert left_behind(echo) == []
