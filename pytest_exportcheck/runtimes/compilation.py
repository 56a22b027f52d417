"""Compilation of a program to a package, or its package of an earlier run."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_exportcheck.errors import TIME_OPTION, RuntimeFailure, RuntimeHung
from pytest_exportcheck.harness.deadline import deadline
from pytest_exportcheck.runtimes.environment import Cacheable, environment_key
from pytest_exportcheck.runtimes.package_cache import PackageCache
from pytest_exportcheck.runtimes.program_key import Uncacheable, program_key
from pytest_exportcheck.runtimes.protocol import Fact, Runtime

#: The time of a compilation, as a multiple of that of a call.
TIMES_A_CALL = 10


@dataclass(frozen=True, eq=False, kw_only=True)
class Compiler:
    """The compiler of a session. ``timeout``: the seconds that a call may take, of which a compilation has a multiple."""

    cache: PackageCache
    timeout: float

    def package(self, runtime: Runtime, program: Any, folder: Path, load: Callable[[], None]) -> dict[str, Fact]:
        """Write a package into an empty folder, load it, and return the facts about it. A kept package that cannot be
        loaded is compiled again; one whose compiler edits the program or changes global modes is not kept, because its
        faults would not show in the next run.
        """
        key, reason = self._key(runtime, program)
        kept = self.cache.fetch(key, folder) if key else None
        if key and kept is not None:
            try:
                load()
            except RuntimeFailure:
                self.cache.drop(key)
                shutil.rmtree(folder)
                folder.mkdir()
            else:
                return {**kept, "taken from": "the cache"}
        facts = self._compiled(runtime, program, folder)
        load()
        if key and self._key(runtime, program) == (key, ""):
            self.cache.keep(key, folder, facts)
        return {**facts, **({"not kept": reason} if reason else {})}

    def without_cache(self) -> Compiler:
        """Return the compiler for programs that no other run has."""
        return Compiler(cache=PackageCache(), timeout=self.timeout)

    def _compiled(self, runtime: Runtime, program: Any, folder: Path) -> dict[str, Fact]:
        seconds = TIMES_A_CALL * self.timeout
        limit = f"{TIMES_A_CALL} times {TIME_OPTION}"
        started = time.perf_counter()
        with deadline(seconds, lambda: RuntimeHung(runtime.name, "compilation", seconds, "", limit)):
            facts = runtime.compile(program, folder)
        return {"compile seconds": round(time.perf_counter() - started, 1), **facts}

    def _key(self, runtime: Runtime, program: Any) -> tuple[Mapping[str, str] | None, str]:
        """Return the key of a package, or why it has none; empty where nothing is kept anyway."""
        if not self.cache.is_on or not isinstance(runtime, Cacheable):
            return None, ""
        try:
            parts = {f"program {name}": text for name, text in program_key(program).items()}
        except Uncacheable as error:
            return None, str(error)
        return {**environment_key(runtime), **parts}, ""
