"""The rest of the key of a package: versions, code, machine and settings."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pytest_exportcheck.harness.process_state import preserved_globals
from pytest_exportcheck.runtimes.aoti import Aoti
from pytest_exportcheck.runtimes.environment import environment_key, versions_of
from pytest_exportcheck.runtimes.onnx import Onnx


class Plain:
    """A runtime that needs torch."""

    name = "plain"
    needs: tuple[str, ...] = ("torch",)
    extra = ""

    def options(self) -> Mapping[str, str]:
        return {"level": "1"}

    def compile(self, program: Any, folder: Path) -> Mapping[str, int]:
        return {}

    def load(self, folder: Path) -> Any:
        return None


class OtherName(Plain):
    name = "other"


class OtherOptions(Plain):
    def options(self) -> Mapping[str, str]:
        return {"level": "2"}


def _version(monkeypatch: pytest.MonkeyPatch, of: str) -> None:
    real = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "99" if name == of else real(name))


def _number_of_threads(_: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(torch.get_num_threads() + 1)


def _mkldnn(monkeypatch: pytest.MonkeyPatch) -> None:
    # not by assignment: another test may have frozen the global flags of torch.backends
    now = torch.backends.mkldnn.enabled
    monkeypatch.setattr(torch.backends, "mkldnn", SimpleNamespace(enabled=not now))


def _matmul(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "medium")


def _text(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Change what one file says."""
    real = Path.read_text

    def read(self: Path, *args: Any, **kwargs: Any) -> str:
        return real(self, *args, **kwargs) + ("\nflags\t: sse5\n" if str(self).endswith(path) else "")

    monkeypatch.setattr(Path, "read_text", read)


#: What is changed -> the part that must show it, and how it is changed.
CHANGES: dict[str, tuple[str, Any]] = {
    "torch": ("torch", lambda patch: patch.setattr(torch, "__version__", "2.99.0")),
    "the commit of torch": ("torch", lambda patch: patch.setattr(torch.version, "git_version", "0")),
    "a distribution": ("versions", lambda patch: _version(patch, "torch")),
    "a distribution that it requires": ("versions", lambda patch: _version(patch, "sympy")),
    "Python": ("python", lambda patch: patch.setattr(platform, "python_version", lambda: "3.99")),
    "the plugin": ("plugin", lambda patch: _version(patch, "pytest-exportcheck")),
    "the vectors of the CPU": (
        "machine",
        lambda patch: patch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX1024"),
    ),
    "the machine": ("machine", lambda patch: patch.setattr(platform, "machine", lambda: "arm64")),
    "the file of the runtime": ("code", lambda patch: _text(patch, Path(__file__).name)),
    "the number of threads": ("modes", _number_of_threads),
    "the default dtype": ("modes", lambda _: torch.set_default_dtype(torch.float64)),
    "deterministic algorithms": ("modes", lambda _: torch.use_deterministic_algorithms(True)),
    "mkldnn": ("modes", _mkldnn),
    "the precision of matmul": ("modes", _matmul),
    **{
        name: ("variables", lambda patch, name=name: patch.setenv(name, "7"))
        for name in (
            "AOTI_RUNTIME_CHECK_INPUTS",
            "TORCHINDUCTOR_MAX_AUTOTUNE",
            "ATEN_CPU_CAPABILITY",
            "CXX",
            "CXXFLAGS",
            "OMP_NUM_THREADS",
            "MKL_CBWR",
            "ORT_DISABLE_ALL",
            "OV_CPU_THREADS",
            "LD_LIBRARY_PATH",
        )
    },
}


@pytest.fixture(autouse=True)
def _usual_modes() -> Iterator[None]:
    with preserved_globals():
        yield


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_of_the_environment_shows(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    part, change = CHANGES[what]
    before = environment_key(Plain())
    assert environment_key(Plain()) == before
    change(monkeypatch)
    after = environment_key(Plain())
    assert {name for name, text in after.items() if text != before[name]} == {part}


@pytest.mark.parametrize(("other", "part"), [(OtherName(), "runtime"), (OtherOptions(), "options")])
def test_another_runtime_has_another_key(other: Plain, part: str) -> None:
    before, after = environment_key(Plain()), environment_key(other)
    assert after[part] != before[part]


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="the system does not describe its CPU in a file")
def test_another_cpu_has_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = environment_key(Plain())
    real = Path.read_text
    monkeypatch.setattr(
        Path,
        "read_text",
        lambda self, *args, **kwargs: (
            real(self, *args, **kwargs).replace(" sse", " sse5").replace("Features", "Features 5")
        ),
    )
    assert environment_key(Plain())["machine"] != before["machine"]


@pytest.mark.parametrize("file", ["onnx.py", "interface.py", "_torch.py"])
def test_every_file_of_the_bundled_runtimes_counts(monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    before = environment_key(Onnx())
    _text(monkeypatch, file)
    assert environment_key(Onnx())["code"] != before["code"]


@pytest.mark.parametrize("name", ["HOME", "TORCHINDUCTOR_CACHE_DIR", "TORCH_LOGS", "PYTEST_CURRENT_TEST"])
def test_a_variable_that_changes_no_package_does_not_count(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before = environment_key(Plain())
    monkeypatch.setenv(name, os.environ.get(name, "") + "x")
    assert environment_key(Plain()) == before


def test_versions_are_those_of_everything_required() -> None:
    found = versions_of(("torch", "no-such-distribution"))
    assert found["torch"] == importlib.metadata.version("torch")
    assert {"sympy", "mpmath", "jinja2"} <= set(found)
    assert "no-such-distribution" not in found
    assert list(found) == sorted(found)


def test_the_settings_of_inductor_count() -> None:
    from torch._inductor import config

    before = Aoti().options()
    with config.patch({"cpp.threads": 7}):
        changed = {name for name, text in Aoti().options().items() if text != before[name]}
    assert changed == {"cpp.threads"}
    assert Aoti().options() == before


def test_the_compiler_counts(tmp_path: Path) -> None:
    from torch._inductor import config

    script = tmp_path / "compiler"
    script.write_text('#!/bin/sh\nexec g++ "$@"\n')
    script.chmod(0o755)
    with config.patch({"cpp.cxx": (None, str(script))}):
        before = Aoti().options()["compiler"]
        assert before.startswith(f"{script} ")
        script.write_text('#!/bin/sh\nexec g++ -O0 "$@"\n')
        assert Aoti().options()["compiler"] != before
