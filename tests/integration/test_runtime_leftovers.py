"""Runtimes that hang, and workers of pytest-xdist that are killed: the next case is judged, and nothing is left over."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

RUNTIME = '''
import os
import re
import signal
import time
from pathlib import Path

#: What the processes of packages have in folders.
SEEN = Path(__file__).parent / "seen"


class Adds:
    """A runtime for one program."""

    name, needs, extra = "adds", (), ""

    def compile(self, program, folder):
        (folder / "package").write_text("adds")
        return {}

    def load(self, folder):
        def call(inputs):
            self.before(inputs[0].shape[0])
            maps = Path("/proc/self/maps").read_text()
            shared = re.findall(r"(\\\\S*/exportcheck-[^/\\\\s]+)/inputs$", maps, re.MULTILINE)
            with SEEN.open("a") as seen:
                print(os.getpid(), os.getcwd(), folder.parent, *shared, file=seen, flush=True)
            return [inputs[0] + 1]

        return call

    def before(self, size):
        """Do nothing."""


class Hangs(Adds):
    name = "hangs"

    def before(self, size):
        if size == 2:
            print("waiting for a licence", flush=True)
            time.sleep(600)


class Kills(Adds):
    """The second call kills the process of pytest."""

    name = "kills"

    def before(self, size):
        if size == 2 and SEEN.exists():
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(600)
'''

CONFTEST = """
import small_runtimes


def exportcheck_runtimes():
    return [small_runtimes.Adds(), small_runtimes.Hangs(), small_runtimes.Kills()]
"""

CASE = """
import torch

from pytest_exportcheck import export_case


class Plus(torch.nn.Module):
    def forward(self, x):
        return x + 1


for size in (2, 3):
    export_case(args=lambda size=size: (torch.randn(size, 3),), name=f"Plus{size}")(Plus)
"""

OPTIONS = ("--exportcheck", "--exportcheck-engines=torch", "--exportcheck-modes=nonstrict")


def left_over(folder: Path) -> tuple[list[int], list[str]]:
    """Return the processes of packages that still run, and their folders that still exist."""
    lines = [line.split() for line in (folder / "seen").read_text().splitlines()]
    assert all(len(line) >= 3 for line in lines)
    running = {int(pid) for pid, *_ in lines if Path("/proc", pid).exists()}
    return sorted(running), sorted({each for _, *folders in lines for each in folders if Path(each).exists()})


@pytest.mark.slow
def test_a_package_that_hangs_costs_its_item(
    whole_torch: None, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_exportcheck.run.registry.RUNTIME_TIMEOUT", 20.0)
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(small_runtimes=RUNTIME, case_plus=CASE)
    result = pytester.runpytest(*OPTIONS, "--exportcheck-runtime=hangs,adds", "-v")
    result.assert_outcomes(passed=4, failed=2)
    result.stdout.fnmatch_lines(
        [
            "*Plus3[[]torch-nonstrict-hangs]*",
            "  outputs: the call: raised  (on args[[]0].size(0)=2)",
            "    expected: outputs, or an error",
            "*Plus2[[]torch-nonstrict-hangs]*",
            "    expected: outputs, as before",
            "*hangs did not end the call of its package within 20 s. It printed last:",
            "*waiting for a licence",
        ]
    )
    assert left_over(pytester.path) == ([], [])


@pytest.mark.slow
def test_nothing_is_left_over_of_a_worker_that_is_killed(whole_torch: None, pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(small_runtimes=RUNTIME, case_plus=CASE)
    result = pytester.runpytest(*OPTIONS, "--exportcheck-runtime=adds,kills", "-n1", "-v")
    text = result.stdout.str()
    assert re.findall(r"^worker 'gw\d' crashed while running '.*::(.*)'$", text, re.MULTILINE) == [
        "Plus3[torch-nonstrict-kills]",
        "Plus2[torch-nonstrict-kills]",
    ]
    assert re.findall(r"PASSED case_plus.py::(\S*)", text) == [
        "Plus3[torch-nonstrict]",
        "Plus3[torch-nonstrict-adds]",
        "Plus2[torch-nonstrict]",
        "Plus2[torch-nonstrict-adds]",
    ]
    assert left_over(pytester.path) == ([], [])
