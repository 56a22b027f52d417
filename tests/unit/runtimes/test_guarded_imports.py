"""The guard for imports: modules of the repository under test are refused, others are not."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_exportcheck.runtimes.guarded_imports import ImportGuard

MODULES = (
    "guarded_single.py",
    "guarded_package/__init__.py",
    "guarded_namespace/part.py",
    ".venv/lib/site-packages/guarded_installed.py",
)


@pytest.fixture
def guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ImportGuard]:
    for each in MODULES:
        file = tmp_path / "repo" / each
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
    (tmp_path / "guarded_outside.py").write_text("")
    folders = [tmp_path, tmp_path / "repo", tmp_path / "repo" / ".venv" / "lib" / "site-packages"]
    monkeypatch.setattr(sys, "path", [*map(str, folders), *sys.path])
    made = ImportGuard(tmp_path / "repo")
    monkeypatch.setattr(sys, "meta_path", [made, *sys.meta_path])
    yield made
    for name in [each for each in sys.modules if each.startswith("guarded_")]:
        del sys.modules[name]


@pytest.mark.parametrize("name", ["guarded_single", "guarded_package", "guarded_namespace"])
def test_a_module_of_the_repository_is_refused(guard: ImportGuard, name: str) -> None:
    with pytest.raises(ModuleNotFoundError) as raised:
        importlib.import_module(name)
    assert str(raised.value) == (
        f"No module named {name!r}: it is in the repository under test, from which this process imports nothing"
    )
    assert raised.value.name == name


@pytest.mark.parametrize("name", ["guarded_installed", "guarded_outside", "colorsys"])
def test_a_module_that_is_installed_or_elsewhere_is_imported(guard: ImportGuard, name: str) -> None:
    assert importlib.import_module(name).__name__ == name


def test_the_module_of_a_runtime_may_be_imported(guard: ImportGuard) -> None:
    with guard.allowed():
        assert importlib.import_module("guarded_single").__name__ == "guarded_single"
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("guarded_package")


def test_a_module_that_does_not_exist_is_reported_as_usual(guard: ImportGuard) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'guarded_missing'$"):
        importlib.import_module("guarded_missing")
