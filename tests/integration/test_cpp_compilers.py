"""C++ compilers that the variable CXX names: one that does not exist, and one that fails."""

from __future__ import annotations

from pathlib import Path

import pytest

CASE = """
import torch

from pytest_exportcheck import export_case


@export_case(args=lambda: (torch.ones(2),))
class Model(torch.nn.ReLU):
    pass
"""

FAILS = """#!/bin/sh
case "$1" in --version|-v|-dump*) exec g++ "$@";; esac
echo "fatal error: no memory" >&2
exit 4
"""


def _run(pytester: pytest.Pytester) -> pytest.RunResult:
    pytester.makepyfile(case_model=CASE)
    options = ("--exportcheck", "--exportcheck-engines=torch", "--exportcheck-modes=nonstrict-aoti", "-rs")
    return pytester.runpytest_subprocess(*options, "-p", "no:cacheprovider")


@pytest.mark.slow
def test_without_a_compiler_the_item_is_skipped_with_what_to_do(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "/nonexistent")
    result = _run(pytester)
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(
        [
            "SKIPPED * unsupported by torch: no working C++ compiler (torch looked for /nonexistent): install g++ or clang++, or set "
            "the environment variable CXX to one"
        ]
    )


@pytest.mark.slow
def test_a_compiler_that_fails_is_a_finding_with_its_last_lines(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    compiler = tmp_path / "compiler"
    compiler.write_text(FAILS)
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    result = _run(pytester)
    result.assert_outcomes(failed=1)
    text = " ".join(result.stdout.str().split())
    assert (
        f"aoti: the C++ compiler {compiler} failed; it does not compile an empty program either: repair it, or set the environment "
        "variable CXX to another one. It printed last: fatal error: no memory"
    ) in text
