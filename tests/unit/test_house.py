"""The layout holds: short files, few of them at the package's root, and folders that say what belongs in them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pytest_exportcheck"
TESTS = ROOT / "tests"
MOST_LINES = 400
MOST_AT_THE_ROOT = 9


def too_long(folder: Path) -> list[str]:
    """Name the Python files of a folder that have too many lines."""
    counts = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sorted(folder.rglob("*.py"))}
    return [
        f"{path.relative_to(folder.parent).as_posix()}: expected at most {MOST_LINES} lines, got {count}. Split it by what "
        "it is opened for."
        for path, count in counts.items()
        if count > MOST_LINES
    ]


def without_docstring(package: Path) -> list[str]:
    """Name the folders with Python files whose ``__init__.py`` is missing or has no docstring."""
    folders = sorted({path.parent for path in package.rglob("*.py")})
    return [
        f"{folder.relative_to(package.parent).as_posix()}: expected an __init__.py with a docstring that says what belongs "
        "there."
        for folder in folders
        if not _docstring(folder / "__init__.py")
    ]


def _docstring(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "") if path.exists() else ""


@pytest.mark.parametrize("folder", [PACKAGE, TESTS], ids=lambda folder: folder.name)
def test_no_file_is_too_long(folder: Path) -> None:
    assert too_long(folder) == []


def test_every_folder_of_the_package_says_what_belongs_there() -> None:
    assert without_docstring(PACKAGE) == []


def test_few_files_are_at_the_root_of_the_package() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= MOST_AT_THE_ROOT


def test_a_long_file_is_named(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "long.py").write_text("x = 1\n" * 401)
    (package / "fits.py").write_text("x = 1\n" * 400)
    assert too_long(package) == [
        "package/long.py: expected at most 400 lines, got 401. Split it by what it is opened for."
    ]


@pytest.mark.parametrize("text", [None, "", "# a comment\n"], ids=["no-init", "empty", "comment"])
def test_a_folder_without_a_docstring_is_named(tmp_path: Path, text: str | None) -> None:
    package = tmp_path / "package"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text('"""A package."""\n')
    (package / "inner" / "module.py").write_text("")
    if text is not None:
        (package / "inner" / "__init__.py").write_text(text)
    assert without_docstring(package) == [
        "package/inner: expected an __init__.py with a docstring that says what belongs there."
    ]
