"""The files of the user's project that a module comes from, and the packages that they import."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import ModuleType

from pytest_exportcheck.harness.isolation import is_users_file

#: Packages that the script of a bundle replaces, and the one that it always needs.
STANDINS = ("pytest", "pytest_exportcheck")
_GIVEN = (*STANDINS, "torch")

#: Files from which a project is named as a package that is needed, and not copied.
_MOST_FILES = 200


@dataclass(frozen=True)
class Sources:
    """The files to copy, by their paths in ``source``, and the names of packages that must be installed."""

    files: dict[str, Path]
    needs: tuple[str, ...]


def sources_of(names: Iterable[str]) -> Sources:
    """Find the files of these modules, and of all modules of the project that they import."""
    files: dict[str, Path] = {}
    needs: dict[str, None] = {}
    queue = list(names)
    seen: set[str] = set()
    while queue:
        name = queue.pop()
        if name in seen or name not in sys.modules:
            continue
        seen.add(name)
        module = sys.modules[name]
        path = _file(module)
        if path is None:
            needs.update(dict.fromkeys(_needed(name, module)))
            continue
        files[str(_place(name, module, path))] = path
        queue += [*_parents(name), *_imported(path, module)]
    if len(files) > _MOST_FILES:
        return Sources({}, tuple(sorted({*needs, *(PurePosixPath(each).parts[0] for each in files)})))
    return Sources(files, tuple(sorted(needs)))


def _file(module: ModuleType) -> Path | None:
    """Return the file of a module of the user's project; None for other modules, and those without a Python file."""
    file = getattr(module, "__file__", None) or ""
    installed = any(part in ("site-packages", "dist-packages") for part in Path(file).parts)
    return Path(file) if file.endswith(".py") and not installed and is_users_file(file) else None


def _needed(name: str, module: ModuleType) -> Iterator[str]:
    """Yield the package to install for a module that is not copied."""
    first = name.partition(".")[0]
    is_namespace = getattr(module, "__file__", None) is None and hasattr(module, "__path__")
    if first not in (*sys.stdlib_module_names, *_GIVEN) and not is_namespace:
        yield first


def _place(name: str, module: ModuleType, path: Path) -> PurePosixPath:
    place = PurePosixPath(*name.split("."))
    return place / path.name if hasattr(module, "__path__") else place.with_name(f"{place.name}.py")


def _parents(name: str) -> Iterator[str]:
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def _imported(path: Path, module: ModuleType) -> Iterator[str]:
    """Yield the names that the imports of a file may mean, modules or not."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):  # changed since it was imported
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, module)
            yield base
            yield from (f"{base}.{each.name}" for each in node.names)


def _absolute(node: ast.ImportFrom, module: ModuleType) -> str:
    if not node.level:
        return node.module or ""
    package = (module.__package__ or "").split(".")
    kept = package[: len(package) - node.level + 1]
    return ".".join([*kept, *([node.module] if node.module else [])])
