"""A guard for imports: the child process acts like a process elsewhere, which does not have the repository under test."""

from __future__ import annotations

import importlib.abc
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

#: Folders of installed packages, wherever they are.
_INSTALLED = frozenset({"site-packages", "dist-packages"})


class ImportGuard(importlib.abc.MetaPathFinder):
    """A finder that refuses the modules of one folder, unless they are installed there or belong to this project."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._python = tuple(Path(each) for each in set(sysconfig.get_paths().values()))
        self._allowed = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module is, or None where no other finder knows it.

        Raises
        ------
        ModuleNotFoundError
            For a module of the repository.
        """
        if self._allowed or path is not None or fullname == "pytest_exportcheck":
            return None
        others = (each.find_spec(fullname, path, target) for each in sys.meta_path if each is not self)
        spec = next((each for each in others if each is not None), None)
        if spec is not None and any(map(self._is_refused, _places(spec))):
            raise ModuleNotFoundError(
                f"No module named {fullname!r}: it is in the repository under test, from which this process imports "
                "nothing",
                name=fullname,
            )
        return spec

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Run a block in which modules of the repository can be imported."""
        before, self._allowed = self._allowed, True
        try:
            yield
        finally:
            self._allowed = before

    def _is_refused(self, place: Path) -> bool:
        if not place.is_relative_to(self._root) or _INSTALLED.intersection(place.relative_to(self._root).parts):
            return False
        return not any(place.is_relative_to(each) for each in self._python if each != self._root)


def _places(spec: ModuleSpec) -> list[Path]:
    if spec.has_location and spec.origin:
        return [Path(spec.origin).resolve()]
    return [Path(each).resolve() for each in spec.submodule_search_locations or ()]
