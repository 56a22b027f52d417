"""The C++ compiler of AOTInductor that is missing or fails, and versions that were never tried."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch._inductor import config

from pytest_exportcheck.errors import CompilerFailed, Unsupported
from pytest_exportcheck.run.runtime_edges import _missing
from pytest_exportcheck.runtimes import bundled
from pytest_exportcheck.runtimes.aoti import Aoti
from pytest_exportcheck.runtimes.onnx import Onnx
from pytest_exportcheck.runtimes.tried import TRIED, untried


@contextmanager
def compiler(command: str) -> Iterator[None]:
    """Let AOTInductor use a compiler, as the variable CXX does when torch is imported."""
    with config.patch({"cpp.cxx": (None, command)}):
        yield


def script(folder: Path, lines: str) -> str:
    """Write a compiler that has a version."""
    path = folder / "compiler"
    path.write_text(f'#!/bin/sh\ncase "$1" in --version|-v|-dump*) exec g++ "$@";; esac\n{lines}\n')
    path.chmod(0o755)
    return str(path)


def program() -> torch.export.ExportedProgram:
    return torch.export.export(torch.nn.ReLU(), (torch.ones(2),))


def test_a_missing_compiler_is_named_in_one_line(tmp_path: Path) -> None:
    with compiler("/nonexistent"), pytest.raises(Unsupported) as raised:
        Aoti().compile(program(), tmp_path)
    assert str(raised.value) == (
        "no working C++ compiler (torch looked for /nonexistent): install g++ or clang++, or set the environment variable CXX to "
        "one"
    )


@pytest.mark.parametrize(
    ("lines", "at_fault"),
    [
        (
            'for n in 1 2 3 4 5 6 7 8 9 10; do echo "error $n" >&2; done; exit 4',
            "it does not compile an empty program either: repair it, or set the environment variable CXX to another one",
        ),
        (
            'case "$*" in *empty.cpp*) exit 0;; esac; for n in 1 2 3 4 5 6 7 8 9 10; do echo "error $n" >&2; done; exit 4',
            "it compiles an empty program, so the code that torch generated is at fault",
        ),
    ],
)
def test_a_compiler_that_fails_is_shown_with_its_last_lines(tmp_path: Path, lines: str, at_fault: str) -> None:
    command = script(tmp_path, lines)
    with compiler(command), pytest.raises(CompilerFailed) as raised:
        Aoti().compile(program(), tmp_path)
    last = "\n".join(f"error {number}" for number in range(3, 11))
    assert str(raised.value) == f"aoti: the C++ compiler {command} failed; {at_fault}. It printed last:\n{last}"


def test_another_error_of_torch_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ValueError("no lowering")

    monkeypatch.setattr("pytest_exportcheck.runtimes.aoti.compiler_of_inductor", lambda: fails)
    with pytest.raises(ValueError, match="no lowering"):
        Aoti().compile(program(), tmp_path)


def _versions(found: str) -> Callable[[str], str]:
    return lambda name: found if name == "onnxruntime" else f"{TRIED[name][0]}.7"


def test_a_version_that_was_never_tried_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", _versions("1.99.0rc1"))
    assert list(untried(Onnx())) == [
        "onnxruntime 1.99.0rc1 was never tried with this plugin (tried: 1.32.*). If a result of onnx looks wrong, compare it with "
        "one of onnxruntime==1.32.*"
    ]
    monkeypatch.setattr(importlib.metadata, "version", _versions("1.32.5"))
    assert list(untried(Onnx())) == []


def test_every_distribution_of_an_extra_has_versions_that_were_tried() -> None:
    needed = {name for runtime in bundled() if runtime.extra for name in runtime.needs}
    assert needed == set(TRIED)


@pytest.mark.parametrize("runtime", [each for each in bundled() if each.extra], ids=lambda each: str(each.name))
def test_a_missing_extra_is_named_with_the_command(runtime: Onnx) -> None:
    assert _missing(runtime, runtime.needs[:1]) == (
        f"{runtime.needs[0]} must be installed: pip install pytest-exportcheck[{runtime.extra}]"
    )
