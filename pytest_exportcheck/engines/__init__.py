"""Engines by name: the bundled ones and those that hooks add."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from pytest_exportcheck.engines.bare import as_engine
from pytest_exportcheck.engines.custom import with_edges
from pytest_exportcheck.engines.interop import with_interop
from pytest_exportcheck.engines.protocol import Engine
from pytest_exportcheck.engines.reference import Reference
from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.errors import EngineError, SelectionError
from pytest_exportcheck.modes import AGREE, GOLDEN


def all_engines(added: Iterable[Any] = (), edges: Mapping[str, Any] | None = None) -> dict[str, Engine]:
    """Return the bundled engines and the added ones, by name, each with the added edges.

    Raises
    ------
    EngineError
        When an added object is not an engine, or an engine or an edge has a name that is taken.
    """
    engines: dict[str, Engine] = {}
    for candidate in (TorchExport(), Reference(), *added):
        engine = with_edges(as_engine(candidate), edges or {})
        if engine.name in (AGREE, GOLDEN):
            raise EngineError(f"an engine is called {engine.name!r}, as items of the plugin are; rename it.")
        if engine.name in engines:
            raise EngineError(f"two engines are called {engine.name!r}; rename the one that your hook adds.")
        engines[engine.name] = engine
    return with_interop(engines)


def select_engines(engines: Mapping[str, Engine], globs: Sequence[str]) -> list[Engine]:
    """Return the engines that match the names and globs; without any, return all.

    Raises
    ------
    SelectionError
        For a name or glob that matches no engine.
    """
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in engines):
            raise SelectionError(f"unknown engine {glob!r}. Engines: {', '.join(engines)}.")
    return [engine for name, engine in engines.items() if not globs or any(fnmatchcase(name, glob) for glob in globs)]
