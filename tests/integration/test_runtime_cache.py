"""The cache of packages and the time limits of runtimes, by their options."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_exportcheck.reports.json_report import read_report
from pytest_exportcheck.run import runtime_edges

RUNTIME = '''
import time

import torch


class Kept:
    """A runtime that writes a line for every compilation."""

    name, needs, extra = "kept", (), ""

    def options(self):
        return {}

    def compile(self, program, folder):
        time.sleep(0.2)
        with open("compiled.txt", "a") as file:
            file.write("compiled\\n")
        torch.export.save(program, folder / "program.pt2")
        return {"nodes": 7}

    def load(self, folder):
        module = torch.export.load(folder / "program.pt2").module()
        return lambda inputs: [module(*inputs)]


class Again(Kept):
    name = "again"


class Hangs(Kept):
    name = "hangs"

    def load(self, folder):
        return lambda inputs: time.sleep(60)


class CompilesLong(Kept):
    name = "compiles_long"

    def compile(self, program, folder):
        time.sleep(60)
'''

CONFTEST = """
import kept_runtimes


def exportcheck_runtimes():
    return [kept_runtimes.Kept(), kept_runtimes.Again(), kept_runtimes.Hangs(), kept_runtimes.CompilesLong()]
"""

CASE = """
import torch

from pytest_exportcheck import export_case


@export_case(args=lambda: (torch.ones(2),))
class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))

    def forward(self, x):
        return x * self.weight
"""

Run = Callable[..., pytest.RunResult]


class Here:
    """A process of runtimes that is this one, which spares its start; it has a member for each that the plugin uses."""

    def __init__(self, **_: object) -> None:
        self._loaded: dict[str, Any] = {}

    def load(self, runtime: Any, folder: Path, package: str) -> float:
        self._loaded[package] = runtime.load(folder)
        return 0.0

    def has(self, package: str) -> bool:
        return package in self._loaded

    def call(self, runtime: str, package: str, inputs: Sequence[Any], seed: int) -> tuple[Any, Sequence[Any], float]:
        return self._loaded[package](inputs), inputs, 0.0

    def close(self) -> None:
        self._loaded.clear()


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_edges, "RuntimeProcess", Here)


@pytest.fixture
def run(whole_torch: None, pytester: pytest.Pytester) -> Run:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(kept_runtimes=RUNTIME, case_model=CASE)

    def running(*options: str, runtime: str = "kept") -> pytest.RunResult:
        return pytester.runpytest(
            "--exportcheck",
            "--exportcheck-engines=torch",
            "--exportcheck-modes=nonstrict",
            f"--exportcheck-runtime={runtime}",
            "-v",
            *options,
        )

    return running


def compilations(pytester: pytest.Pytester) -> int:
    """Return how often the runtime was called to compile since the last question."""
    file = pytester.path / "compiled.txt"
    number = len(file.read_text().splitlines()) if file.exists() else 0
    file.unlink(missing_ok=True)
    return number


def test_the_next_run_takes_the_package_from_the_cache(here: None, run: Run, pytester: pytest.Pytester) -> None:
    seconds = []
    for number in (1, 0):
        run("--exportcheck-json=report.json").assert_outcomes(passed=2)
        assert compilations(pytester) == number
        (facts,) = (each.facts for each in read_report(pytester.path / "report.json").items if each.facts)
        assert facts["nodes"] == 7
        assert facts.get("taken from") == (None if number else "the cache")
        seconds.append(facts["compile seconds"])
    assert seconds[0] == seconds[1] != 0

    model = pytester.path / "case_model.py"
    model.write_text(CASE.replace("2.0", "2.5"))
    run().assert_outcomes(passed=2)
    assert compilations(pytester) == 1, "another weight"
    run("--cache-clear").assert_outcomes(passed=2)
    assert compilations(pytester) == 1, "an empty cache"
    run("--exportcheck-runtime-cache=off").assert_outcomes(passed=2)
    assert compilations(pytester) == 1, "no cache"
    runtime = pytester.path / "kept_runtimes.py"
    runtime.write_text(RUNTIME.replace('"program.pt2"', '"model.pt2"'))
    run().assert_outcomes(passed=2)
    assert compilations(pytester) == 1, "another runtime"


def test_a_folder_is_shared_cleared_and_never_trusted(here: None, run: Run, pytester: pytest.Pytester) -> None:
    options = ("-p", "no:cacheprovider", "--exportcheck-runtime-cache=packages")
    for number in (1, 0):
        run(*options).assert_outcomes(passed=2)
        assert compilations(pytester) == number
    (kept,) = (pytester.path / "packages").iterdir()
    os.truncate(kept, kept.stat().st_size // 2)
    run(*options).assert_outcomes(passed=2)
    assert compilations(pytester) == 1, "a package that was cut off"
    cleared = run("--cache-clear", *options[2:])
    cleared.assert_outcomes(passed=2)
    assert compilations(pytester) == 1, "cleared"
    run("-p", "no:cacheprovider").assert_outcomes(passed=2)
    assert compilations(pytester) == 1, "no cache at all"


def test_a_folder_that_refuses_files_is_reported_once(here: None, run: Run, pytester: pytest.Pytester) -> None:
    (pytester.path / "file").write_text("")
    refusing = pytester.path / "file" / "packages"
    result = run("-p", "no:cacheprovider", f"--exportcheck-runtime-cache={refusing}", runtime="kept,again")
    said = [line for line in result.stdout.lines if "packages of runtimes are not kept" in line]
    assert len(said) == 1
    assert said[0].endswith(
        f": {refusing}. Choose another folder with --exportcheck-runtime-cache=DIR, or turn this off with "
        "--exportcheck-runtime-cache=off."
    )


@pytest.mark.parametrize(
    ("runtime", "timeout", "said"),
    [
        ("hangs", "1", "hangs did not end the call of its package within 1 s (--exportcheck-runtime-timeout)."),
        (
            "compiles_long",
            "0.05",
            "compiles_long did not end the compilation of its package within 0.5 s (10 times --exportcheck-runtime-timeout).",
        ),
    ],
)
def test_the_time_of_a_runtime_is_an_option(run: Run, runtime: str, timeout: str, said: str) -> None:
    result = run(f"--exportcheck-runtime-timeout={timeout}", runtime=runtime)
    result.assert_outcomes(passed=1, failed=1)
    text = " ".join(result.stdout.str().split())
    assert said in text
    assert f"--exportcheck-runtime-timeout={timeout}" in text.partition("Reproduce with")[2]
