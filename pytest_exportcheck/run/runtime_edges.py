"""The edges that end in a runtime, and the process and the folder that the packages of a case use."""

from __future__ import annotations

import importlib.metadata
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_exportcheck.engines.artifacts import program_of, wrapped_edge
from pytest_exportcheck.engines.protocol import Edge, Engine, StageArtifact
from pytest_exportcheck.errors import Unsupported
from pytest_exportcheck.runtimes import reloads
from pytest_exportcheck.runtimes.compilation import Compiler
from pytest_exportcheck.runtimes.owned_folders import OwnedFolder
from pytest_exportcheck.runtimes.package import Package, compiled
from pytest_exportcheck.runtimes.package_cache import PackageCache
from pytest_exportcheck.runtimes.process import RuntimeProcess
from pytest_exportcheck.runtimes.protocol import Runtime
from pytest_exportcheck.runtimes.tried import untried

#: The contract of an edge that ends in a runtime.
COMPILED, RELOADED = "compiled", "reloaded"


def yields_package(engine: Engine, edge: str) -> bool:
    """Return True if an edge of an engine ends in a package, which can only be called."""
    return engine.contract_of.get(edge) in (COMPILED, RELOADED)


class RuntimeHost:
    """The owner of the child process of the case that runs, and of the folders of its packages.

    ``timeout`` is in seconds, for one load or call; ``cache`` has the packages of earlier runs; ``root`` is the
    repository under test.
    """

    def __init__(self, *, timeout: float, threads: int, cache: PackageCache, root: Path | None = None) -> None:
        self._timeout, self._threads, self._root = timeout, threads, root
        self.compiler = Compiler(cache=cache, timeout=timeout)
        self.notices = cache.notices
        self._process: RuntimeProcess | None = None
        self._folder: OwnedFolder | None = None

    def process(self) -> RuntimeProcess:
        """Return the process of the case; it starts when it is first asked for something."""
        if self._process is None:
            self._process = RuntimeProcess(timeout=self._timeout, threads=self._threads, root=self._root)
        return self._process

    def folder(self, name: str) -> Path:
        """Make an empty folder for a package."""
        if self._folder is None:
            self._folder = OwnedFolder()
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self._folder.path))

    def close(self) -> None:
        """End the process, and remove the packages: the case has ended."""
        process, folder = self._process, self._folder
        self._process = self._folder = None
        if process is not None:
            process.close()
        if folder is not None:
            folder.remove()


def with_runtimes(engines: Mapping[str, Engine], runtimes: Iterable[Runtime], host: RuntimeHost) -> dict[str, Engine]:
    """Return the engines, each with an edge to every runtime."""
    edges = {each.name: _edge(each, host) for each in runtimes}
    reloading = reloads()
    found = {}
    for name, engine in engines.items():
        own = {**edges, "reload": _edge(reloading[name], host)} if name in reloading else edges
        like = {edge: RELOADED if edge == "reload" else COMPILED for edge in own}
        found[name] = replace(engine, edges={**engine.edges, **own}, contract_of={**engine.contract_of, **like})
    return found


def _edge(runtime: Runtime, host: RuntimeHost) -> Edge:
    def edge(given: StageArtifact) -> Package:
        missing = [name for name in runtime.needs if not _is_installed(name)]
        if missing:
            raise Unsupported(_missing(runtime, missing))
        for line in untried(runtime):
            host.notices.add(line)
        return compiled(runtime, program_of(given), host.folder(runtime.name), host.process, host.compiler)

    return wrapped_edge(edge, f"runtime {runtime.name!r}")


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _missing(runtime: Runtime, missing: Iterable[Any]) -> str:
    names = ", ".join(missing)
    how = f"pip install pytest-exportcheck[{runtime.extra}]" if runtime.extra else f"pip install {names}"
    return f"{names} must be installed: {how}"
