"""The adapter that makes an engine of a bare object with ``export`` (and as far as it can ``decompose``, ``save``,
``load``, ``unflatten``). Users write this form.
"""

from __future__ import annotations

import inspect
import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from pytest_exportcheck.engines.archive import archive_records
from pytest_exportcheck.engines.protocol import (
    Artifact,
    Capture,
    Edge,
    Engine,
    ModuleArtifact,
    ProgramArtifact,
    Request,
)
from pytest_exportcheck.errors import EngineError, Unsupported
from pytest_exportcheck.harness.dynamic_shapes import specs_by_position

_CAPTURES = {
    "nonstrict": {"strict": False, "pre_dispatch": True},
    "nonstrict_postdispatch": {"strict": False, "pre_dispatch": False},
    "strict": {"strict": True, "pre_dispatch": True},
    "strict_postdispatch": {"strict": True, "pre_dispatch": False},
}
#: The flags of an ``export`` without these parameters.
DEFAULT = {"strict": False, "pre_dispatch": True}


@dataclass(frozen=True, eq=False)
class BareEngine:
    """The engine that is made of a bare object. ``contract_of`` names, for an edge that a hook adds, the edge by whose
    contract it is judged; ``delegates_to``, for a stage that is another engine's work, that engine. ``save`` and
    ``load`` are for other engines that have the same ``format``; ``unportable`` names the parts of a program that other
    engines cannot read in such a file.

    A second opinion has ``default_modes``: the default modes that the engine runs where the user does not name it.
    Where it has ``refusals``, an error of another type is an engine error, and is not about the model. An error of its
    ``objections`` names a fault that other engines ignore: it fails whatever they do.
    """

    name: str
    captures: Mapping[str, Capture]
    edges: Mapping[str, Edge]
    edits_input: frozenset[str] = field(default_factory=frozenset)
    contract_of: Mapping[str, str] = field(default_factory=dict)
    delegates_to: Mapping[str, str] = field(default_factory=dict)
    save: Callable[[Any, io.BytesIO], Any] | None = None
    load: Callable[[io.BytesIO], Any] | None = None
    default_modes: frozenset[str] = frozenset()
    refusals: tuple[type[BaseException], ...] = ()
    objections: tuple[type[BaseException], ...] = ()
    format: str = ""
    unportable: Callable[[Any], str] | None = None


def as_engine(candidate: Any) -> Engine:
    """Return an engine unchanged, or a bare object adapted.

    Raises
    ------
    EngineError
        When the object has no usable name, or neither ``export`` nor ``captures``.
    """
    name = getattr(candidate, "name", None)
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9_]+", name):
        raise EngineError(
            f"an engine has a name of lower-case letters, digits and '_', got {name!r} from {candidate!r}."
        )
    if isinstance(getattr(candidate, "captures", None), Mapping):
        if not isinstance(getattr(candidate, "edges", None), Mapping):
            raise EngineError(f"engine {name!r} has captures but no mapping 'edges'; an empty one will do.")
        engine: Engine = candidate
        return engine
    if not callable(getattr(candidate, "export", None)):
        raise EngineError(
            f"engine {name!r} lacks export(module, args, kwargs=None, *, dynamic_shapes=None, strict=False, "
            "pre_dispatch=True); without it there is nothing to check."
        )
    return BareEngine(
        name=name,
        captures=dict(_captures(candidate)),
        edges=dict(_edges(candidate)),
        edits_input=frozenset(getattr(candidate, "edits_input", ())),
        delegates_to=dict(getattr(candidate, "delegates_to", {})),
        save=candidate.save if _has(candidate, "save") else None,
        load=candidate.load if _has(candidate, "load") else None,
        default_modes=frozenset(getattr(candidate, "default_modes", ())),
        refusals=tuple(getattr(candidate, "refusals", ())),
        objections=tuple(getattr(candidate, "objections", ())),
        format=str(getattr(candidate, "format", "")),
        unportable=candidate.unportable if _has(candidate, "unportable") else None,
    )


def _captures(bare: Any) -> Iterator[tuple[str, Capture]]:
    """Yield the captures that ``export`` has a parameter for: without ``strict``, non-strict ones only."""
    lacking = {flag: DEFAULT[flag] for flag in DEFAULT if not _takes(bare.export, flag)}
    for capture, flags in _CAPTURES.items():
        if lacking.items() <= flags.items():
            yield capture, _capture(bare, flags)


def _takes(function: Callable[..., Any], name: str) -> bool:
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:  # a callable that is not written in Python
        return True
    return name in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())


def _capture(bare: Any, flags: Mapping[str, bool]) -> Capture:
    def capture(module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], shapes: Any) -> Artifact:
        return _export(
            bare, module, Request(args, kwargs, shapes, specs_by_position(module, args, kwargs, shapes), **flags)
        )

    return capture


def _export(bare: Any, module: Any, request: Request) -> ProgramArtifact:
    flags = {"strict": request.strict, "pre_dispatch": request.pre_dispatch}
    taken = {flag: value for flag, value in flags.items() if _takes(bare.export, flag)}
    program = bare.export(module, request.args, dict(request.kwargs), dynamic_shapes=request.dynamic_shapes, **taken)
    return ProgramArtifact(program, request)


def _edges(bare: Any) -> list[tuple[str, Edge]]:
    edges: list[tuple[str, Edge]] = [("retrace", lambda artifact: _retrace(bare, artifact))]
    if _has(bare, "decompose"):
        edges.append(("decompose", on_program(lambda program: bare.decompose(program))))
    if _has(bare, "save") and _has(bare, "load"):
        edges.append(("serdes", lambda artifact: _serdes(bare, with_program(artifact))))
    if _has(bare, "unflatten"):
        edges.append(("unflatten", lambda artifact: _unflatten(bare, artifact)))
    return edges


def _has(bare: Any, method: str) -> bool:
    return callable(getattr(bare, method, None))


def on_program(step: Callable[[Any], Any]) -> Edge:
    """Return an edge that turns the program of an artifact into another program."""

    def edge(artifact: Any) -> Artifact:
        return ProgramArtifact(step(with_program(artifact).program), artifact.request)

    return edge


def with_program(artifact: Any) -> ProgramArtifact:
    """Return the artifact, if it holds a program.

    Raises
    ------
    Unsupported
        For a module without a program.
    """
    if not isinstance(artifact, ProgramArtifact):
        raise Unsupported(f"{type(artifact).__name__} holds no program to transform.")
    return artifact


def _serdes(bare: Any, artifact: ProgramArtifact) -> Artifact:
    buffer = _saved(bare, artifact.program)
    records = archive_records(buffer)
    buffer.seek(0)
    program = bare.load(buffer)
    return replace(artifact, program=program, saved=records, resave=lambda: archive_records(_saved(bare, program)))


def _saved(bare: Any, program: Any) -> io.BytesIO:
    buffer = io.BytesIO()
    bare.save(program, buffer)
    return buffer


def _retrace(bare: Any, artifact: Any) -> Artifact:
    run = artifact.callable()
    request = replace(artifact.request, dynamic_shapes=_shapes_for(run, artifact.request))
    return ProgramArtifact(_export(bare, run, request).program, artifact.request)


def _shapes_for(run: Any, request: Request) -> Any:
    """Return the request's dynamic shapes in the names of another callable."""
    shapes, specs = request.dynamic_shapes, request.specs
    if specs is None:
        return shapes
    if _takes_anything(run):
        return _by_position(request, specs)
    parameters = inspect.signature(run.forward).parameters if isinstance(run, torch.nn.Module) else {}
    if isinstance(shapes, Mapping):
        return shapes if all(name in parameters for name in shapes) else specs
    variadic = any(each.kind is each.VAR_POSITIONAL for each in parameters.values())
    return shapes if variadic else specs


def _takes_anything(run: Any) -> bool:
    """Return whether a callable is called as ``forward(*args, **kwargs)``, as unflattened modules are."""
    if not isinstance(run, torch.nn.Module):
        return False
    kinds = [parameter.kind for parameter in inspect.signature(run.forward).parameters.values()]
    return kinds == [inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD]


def _by_position(request: Request, specs: tuple[Any, ...]) -> dict[str, Any]:
    count = len(request.args)
    keywords = dict(zip(request.kwargs, specs[count:], strict=False))
    return {"args": tuple(specs[:count]), **({"kwargs": keywords} if keywords else {})}


def _unflatten(bare: Any, artifact: Any) -> Artifact:
    return ModuleArtifact(bare.unflatten(with_program(artifact).program), artifact.request)
