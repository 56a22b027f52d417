"""The engines and artifacts: what an engine returns, and the two records with which the rest of the plugin works.

An :class:`Engine` has named captures that make artifacts, and named edges that turn one artifact into another. The
adapter (``bare.as_engine``) makes an engine of every object that a hook gives, and wraps what that object makes into a
:class:`StageArtifact`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch

from pytest_exportcheck.engines.objects import refused_by_torch
from pytest_exportcheck.records.results import Fact


@dataclass(frozen=True)
class Request:
    """The request that a capture answers: example arguments, their dynamic shapes, and which capture it is.

    ``specs`` are the dynamic shapes by position: one for each of ``args``, then one for each of ``kwargs``. ``strict``
    and ``pre_dispatch`` are as in ``export``; a retrace requests the same again.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    dynamic_shapes: Any
    specs: tuple[Any, ...] | None = None
    strict: bool = False
    pre_dispatch: bool = True


@runtime_checkable
class Artifact(Protocol):
    """The result of a stage, as an engine returns it. An artifact may also have ``program``, an ``ExportedProgram``,
    and the other attributes of :class:`ProgramArtifact`.
    """

    def callable(self) -> Callable[..., Any]:
        """Return a callable that takes the user's arguments. It may share storage with the artifact."""


@dataclass(frozen=True, eq=False)
class ProgramArtifact:
    """A program, and the request that it answers; the request is None for a program that an added edge made of another
    engine's artifact.

    A serdes edge adds ``saved``, a digest of each record of the archive that it wrote, and ``resave``, which saves the
    result again and returns the digests of that. ``reader`` is the engine that read the file, where that is another
    engine; ``other_readers`` are the results of further engines for the same file, by their names.
    """

    program: Any
    request: Request | None
    saved: Mapping[str, str] = field(default_factory=dict)
    resave: Callable[[], Mapping[str, str]] | None = None
    reader: str = ""
    other_readers: Mapping[str, Artifact] = field(default_factory=dict)

    def callable(self) -> Callable[..., Any]:
        specs = getattr(getattr(self.program, "graph_signature", None), "output_specs", ())
        names = [(spec.arg, spec.arg.name) for spec in specs if hasattr(spec.arg, "name")]
        try:
            with refused_by_torch(self.program, "file"):
                module: Callable[..., Any] = self.program.module()
        finally:
            for arg, name in names:  # torch renames outputs in the signature of a program with tokens
                arg.name = name
        return module


@dataclass(frozen=True, eq=False)
class ModuleArtifact:
    """A module without a program, such as ``unflatten`` makes."""

    module: torch.nn.Module
    request: Request | None

    def callable(self) -> Callable[..., Any]:
        return self.module


@dataclass(frozen=True, eq=False)
class StageArtifact:
    """An artifact with every attribute: those that the engine's own artifact lacks have their defaults.

    ``made`` is the engine's own artifact, which is passed to the engine's own edges.
    """

    made: Artifact
    program: Any | None = None
    request: Request | None = None
    saved: Mapping[str, str] = field(default_factory=dict)
    resave: Callable[[], Mapping[str, str]] | None = None
    reader: str = ""
    other_readers: Mapping[str, StageArtifact] = field(default_factory=dict)
    facts: Mapping[str, Fact] = field(default_factory=dict)

    def callable(self) -> Callable[..., Any]:
        """Return a callable that takes the user's arguments."""
        return self.made.callable()

    def resaved(self) -> Mapping[str, str]:
        """Save the result again and return the digests of that; empty for an artifact that was not loaded from a
        file.
        """
        return self.resave() if self.resave else {}


Capture: TypeAlias = Callable[[torch.nn.Module, tuple[Any, ...], Mapping[str, Any], Any], StageArtifact]
Edge: TypeAlias = Callable[[StageArtifact], StageArtifact]
Save: TypeAlias = Callable[[Any, BytesIO], Any]
Load: TypeAlias = Callable[[BytesIO], Any]


@dataclass(frozen=True, eq=False)
class Engine:
    """An engine with every attribute. ``as_engine`` makes it of an object that a hook gives.

    ``edits_input`` names the edges that edit their input. ``contract_of`` names, for an edge that a hook adds, the edge
    by whose contract it is judged; ``delegates_to``, for a stage that is another engine's work, that engine. ``save``
    and ``load`` are for other engines that have the same ``format``; ``unportable`` names the parts of a program that
    other engines cannot read in such a file. ``bare`` is the object that the engine was made of.

    A second opinion has ``default_modes``: the default modes that the engine runs where the user does not name it.
    Where it has ``refusals``, an error of another type is an engine error, and is not about the model. An error of its
    ``objections`` names a fault that other engines ignore: it fails whatever they do.
    """

    name: str
    captures: Mapping[str, Capture]
    edges: Mapping[str, Edge]
    edits_input: frozenset[str] = frozenset()
    contract_of: Mapping[str, str] = field(default_factory=dict)
    delegates_to: Mapping[str, str] = field(default_factory=dict)
    save: Save | None = None
    load: Load | None = None
    default_modes: frozenset[str] = frozenset()
    refusals: tuple[type[BaseException], ...] = ()
    objections: tuple[type[BaseException], ...] = ()
    format: str = ""
    unportable: Callable[[Any], str] | None = None
    bare: Any = None
