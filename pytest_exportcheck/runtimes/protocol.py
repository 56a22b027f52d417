"""The protocol of a runtime: how a program is compiled, and how the package is loaded and called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

from pytest_exportcheck.records.results import Fact

__all__ = ["Fact", "Loaded", "Runtime"]

#: A loaded package: takes the inputs as a flat list in the order of the program's own, returns its outputs likewise.
Loaded: TypeAlias = Callable[[Sequence[Any]], Sequence[Any]]


@runtime_checkable
class Runtime(Protocol):
    """A runtime. It is made without arguments, in this process and in the child process."""

    @property
    def name(self) -> str:
        """Return the name of the edge."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Return the distributions that must be installed."""

    @property
    def extra(self) -> str:
        """Return the extra of this project that installs them; empty for a runtime that a user adds."""

    def compile(self, program: Any, folder: Path) -> Mapping[str, Fact]:
        """Compile a program into files of a folder, and return facts about them. Runs in this process, where the
        operators and classes of the user are registered.

        Parameters
        ----------
        program
            An ``ExportedProgram``, which must not be edited.
        folder
            An empty folder.

        Raises
        ------
        Unsupported
            Where the runtime has no kernel for an operator or a dtype of the program, in its own words.
        """

    def load(self, folder: Path) -> Loaded:
        """Load what ``compile`` wrote. Runs in the child process.

        Raises
        ------
        Unsupported
            Where the runtime lacks a kernel: here, or when what is returned is called. The first line that the runtime
            printed is added.
        """
