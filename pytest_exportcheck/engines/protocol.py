"""The protocol of engines: named captures that make artifacts, and named edges that turn one artifact into another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch


@dataclass(frozen=True)
class Request:
    """The request of a capture: example arguments, their dynamic shapes, and which capture it was.

    ``specs`` are the dynamic shapes by position: one for each of ``args``, then one for each of ``kwargs``.

    ``strict`` and ``pre_dispatch`` are as in ``export``; a retrace requests the same again.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    dynamic_shapes: Any
    specs: tuple[Any, ...] | None = None
    strict: bool = False
    pre_dispatch: bool = True


@runtime_checkable
class Artifact(Protocol):
    """The result of a stage. Most engines' artifacts also have ``.program``, an ``ExportedProgram``."""

    def callable(self) -> Callable[..., Any]:
        """Return a callable that takes the user's arguments. It may share storage with the artifact."""


@dataclass(frozen=True, eq=False)
class ProgramArtifact:
    """A program, and the request that it answers.

    A serdes edge adds ``saved``, a digest of each record of the archive that it wrote, and ``resave``, which saves the
    result again and returns the digests of that. ``reader`` is the engine that read the file, where that is another
    engine; ``other_readers`` are the results of further engines for the same file, by their names.
    """

    program: Any
    request: Request
    saved: Mapping[str, str] = field(default_factory=dict)
    resave: Callable[[], Mapping[str, str]] | None = None
    reader: str = ""
    other_readers: Mapping[str, Artifact] = field(default_factory=dict)

    def callable(self) -> Callable[..., Any]:
        module: Callable[..., Any] = self.program.module()
        return module


@dataclass(frozen=True, eq=False)
class ModuleArtifact:
    """A module without a program, such as ``unflatten`` makes."""

    module: torch.nn.Module
    request: Request

    def callable(self) -> Callable[..., Any]:
        return self.module


Capture: TypeAlias = Callable[[torch.nn.Module, tuple[Any, ...], Mapping[str, Any], Any], Artifact]
Edge: TypeAlias = Callable[[Any], Artifact]


@runtime_checkable
class Engine(Protocol):
    """An engine that captures and transforms programs. ``edits_input`` names the edges that edit their input."""

    @property
    def name(self) -> str: ...
    @property
    def captures(self) -> Mapping[str, Capture]: ...
    @property
    def edges(self) -> Mapping[str, Edge]: ...
