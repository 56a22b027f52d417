"""The compiler of a session: when a package of an earlier run is taken, when one is kept, and how long a compilation may
take.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_exportcheck.errors import RuntimeFailure, RuntimeHung
from pytest_exportcheck.harness.process_state import preserved_globals
from pytest_exportcheck.runtimes.compilation import Compiler
from pytest_exportcheck.runtimes.package_cache import PackageCache
from pytest_exportcheck.runtimes.protocol import Fact


@dataclass
class Saved:
    """A runtime whose compiler does something to the program, and counts its calls."""

    does: Callable[[Any], object] = lambda program: None
    setting: str = ""
    calls: list[str] = field(default_factory=list)
    name: str = "saved"
    needs: tuple[str, ...] = ()
    extra: str = ""

    def options(self) -> Mapping[str, str]:
        return {"setting": self.setting}

    def compile(self, program: Any, folder: Path) -> Mapping[str, Fact]:
        self.calls.append("compile")
        self.does(program)
        (folder / "weight").write_bytes(bytes(program.state_dict["weight"].view(torch.uint8).reshape(-1).tolist()))
        return {"nodes": len(program.graph.nodes)}

    def load(self, folder: Path) -> Any:
        return None


class NoOptions:
    """A runtime that does not say what its packages depend on."""

    name = "plain"
    needs: tuple[str, ...] = ()
    extra = ""

    def compile(self, program: Any, folder: Path) -> Mapping[str, Fact]:
        (folder / "package").write_text("")
        return {}

    def load(self, folder: Path) -> Any:
        return None


@pytest.fixture
def compiler(tmp_path: Path) -> Compiler:
    return Compiler(cache=PackageCache(lambda: tmp_path / "kept", limit=10**6), timeout=60)


@pytest.fixture
def folders(tmp_path: Path) -> Callable[[], Path]:
    numbers = iter(range(99))

    def made() -> Path:
        folder = tmp_path / f"package {next(numbers)}"
        folder.mkdir()
        return folder

    return made


def program(weight: float = 1.0) -> torch.export.ExportedProgram:
    linear = torch.nn.Linear(2, 2, bias=False)
    torch.nn.init.constant_(linear.weight, weight)
    return torch.export.export(linear, (torch.ones(1, 2),))


def loads() -> None:
    """Load any package."""


def test_the_second_package_of_a_program_is_that_of_the_first(compiler: Compiler, folders: Callable[[], Path]) -> None:
    runtime, first, second = Saved(), folders(), folders()
    made = compiler.package(runtime, program(), first, loads)
    taken = compiler.package(runtime, program(), second, loads)
    assert runtime.calls == ["compile"]
    assert taken == {**made, "taken from": "the cache"}
    assert (second / "weight").read_bytes() == (first / "weight").read_bytes()


def test_another_weight_or_setting_is_compiled(compiler: Compiler, folders: Callable[[], Path]) -> None:
    runtime = Saved()
    compiler.package(runtime, program(1.0), folders(), loads)
    other = folders()
    assert "taken from" not in compiler.package(runtime, program(1.5), other, loads)
    assert (other / "weight").read_bytes()[:4] == b"\x00\x00\xc0\x3f"
    assert "taken from" not in compiler.package(Saved(setting="fast"), program(1.0), folders(), loads)


def _adds_a_node(given: Any) -> None:
    given.graph.call_function(torch.ops.aten.relu.default, (next(iter(given.graph.nodes)),))


@pytest.mark.parametrize(
    "does",
    [
        lambda given: given.state_dict["weight"].data.add_(1),
        _adds_a_node,
        lambda given: torch.set_num_threads(torch.get_num_threads() + 1),
        lambda given: torch.set_default_dtype(torch.float64),
    ],
)
def test_a_package_whose_compiler_leaves_something_changed_is_not_kept(
    compiler: Compiler, folders: Callable[[], Path], does: Callable[[Any], object]
) -> None:
    runtime = Saved(does)
    for _ in range(2):
        with preserved_globals():
            assert "taken from" not in compiler.package(runtime, program(), folders(), loads)
    assert runtime.calls == ["compile", "compile"]


def test_a_package_that_cannot_be_loaded_is_not_kept(compiler: Compiler, folders: Callable[[], Path]) -> None:
    def fails() -> None:
        raise RuntimeFailure("damaged")

    runtime = Saved()
    with pytest.raises(RuntimeFailure, match="damaged"):
        compiler.package(runtime, program(), folders(), fails)
    assert "taken from" not in compiler.package(runtime, program(), folders(), loads)


def test_a_kept_package_that_cannot_be_loaded_is_compiled_again(
    compiler: Compiler, folders: Callable[[], Path]
) -> None:
    runtime = Saved()
    compiler.package(runtime, program(), folders(), loads)
    outcomes = iter([RuntimeFailure("another machine"), None])

    def fails_once() -> None:
        error = next(outcomes)
        if error:
            raise error

    assert "taken from" not in compiler.package(runtime, program(), folders(), fails_once)
    assert runtime.calls == ["compile", "compile"]
    assert "taken from" in compiler.package(runtime, program(), folders(), loads)


def test_a_program_without_a_key_says_why_it_is_not_kept(compiler: Compiler, folders: Callable[[], Path]) -> None:
    given = program()
    next(iter(given.graph.nodes)).meta["custom"] = compiler
    facts = compiler.package(Saved(), given, folders(), loads)
    assert facts["not kept"] == "an object of type pytest_exportcheck.runtimes.compilation.Compiler is in the program"
    assert "not kept" not in Compiler(cache=PackageCache(), timeout=60).package(Saved(), given, folders(), loads)


def test_a_runtime_without_options_is_not_kept(compiler: Compiler, folders: Callable[[], Path], tmp_path: Path) -> None:
    for _ in range(2):
        assert list(compiler.package(NoOptions(), program(), folders(), loads)) == ["compile seconds"]
    assert not (tmp_path / "kept").exists()


def _hangs(_: object) -> None:
    time.sleep(60)


def _hangs_and_wraps(_: object) -> None:
    try:
        time.sleep(60)
    except Exception as error:
        raise ValueError("compiler error") from error


def _hangs_and_goes_on(_: object) -> None:
    try:
        time.sleep(60)
    except Exception:
        return


@pytest.mark.parametrize("does", [_hangs, _hangs_and_wraps, _hangs_and_goes_on])
def test_a_compilation_that_takes_too_long_ends(folders: Callable[[], Path], does: Callable[[object], None]) -> None:
    with pytest.raises(RuntimeHung) as raised:
        Compiler(cache=PackageCache(), timeout=0.02).package(Saved(does), program(), folders(), loads)
    assert str(raised.value) == (
        "saved did not end the compilation of its package within 0.2 s (10 times --exportcheck-runtime-timeout)."
    )
