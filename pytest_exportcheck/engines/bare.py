"""The adapter that makes an engine of a bare object with ``export`` (and as far as it can ``decompose``, ``save``,
``load``, ``unflatten``). Users write this form.
"""

from __future__ import annotations

import inspect
import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import torch

from pytest_exportcheck.engines.archive import archive_records
from pytest_exportcheck.engines.artifacts import on_program, program_of, wrapped_capture, wrapped_edge
from pytest_exportcheck.engines.attributes import optional_attributes
from pytest_exportcheck.engines.protocol import (
    Artifact,
    Engine,
    ModuleArtifact,
    ProgramArtifact,
    Request,
    StageArtifact,
)
from pytest_exportcheck.errors import EngineError, Unsupported
from pytest_exportcheck.harness._torch import is_specification
from pytest_exportcheck.harness.dynamic_shapes import effective_shapes, specification_for, specs_by_position

_CAPTURES = {
    "nonstrict": {"strict": False, "pre_dispatch": True},
    "nonstrict_postdispatch": {"strict": False, "pre_dispatch": False},
    "strict": {"strict": True, "pre_dispatch": True},
    "strict_postdispatch": {"strict": True, "pre_dispatch": False},
}
#: The flags of an ``export`` without these parameters.
DEFAULT = {"strict": False, "pre_dispatch": True}


#: A capture and an edge before their results are wrapped.
_Capture: TypeAlias = Callable[[Any, tuple[Any, ...], Mapping[str, Any], Any], Artifact]
_Edge: TypeAlias = Callable[[StageArtifact], Artifact]


def as_engine(candidate: Any) -> Engine:
    """Make an engine of a bare object, or of one that has mappings ``captures`` and ``edges``. An ``Engine`` stays as
    it is.

    Raises
    ------
    EngineError
        When the object has no usable name, neither ``export`` nor ``captures``, or an attribute of another type.
    """
    if isinstance(candidate, Engine):
        return candidate
    name = getattr(candidate, "name", None)
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9_]+", name):
        raise EngineError(
            f"the name of an engine must be of lower-case letters, digits and '_', got {name!r} from {candidate!r}."
        )
    captures, edges = _stages(candidate, name)
    return Engine(
        name=name,
        captures={
            each: wrapped_capture(step, f"capture {each!r} of engine {name!r}") for each, step in captures.items()
        },
        edges={each: wrapped_edge(step, f"edge {each!r} of engine {name!r}") for each, step in edges.items()},
        bare=candidate,
        **optional_attributes(candidate, name),
    )


def _stages(candidate: Any, name: str) -> tuple[Mapping[str, _Capture], Mapping[str, _Edge]]:
    """Return the captures and edges of an engine, which are its own or follow from its methods."""
    captures, edges = getattr(candidate, "captures", None), getattr(candidate, "edges", None)
    if isinstance(captures, Mapping):
        if not isinstance(edges, Mapping):
            raise EngineError(f"engine {name!r} has captures but no mapping 'edges'. Add one; it may be empty.")
        return captures, {each: _on_made(edge) for each, edge in edges.items()}
    if not callable(getattr(candidate, "export", None)):
        raise EngineError(
            f"engine {name!r} lacks export(module, args, kwargs=None, *, dynamic_shapes=None, strict=False, "
            "pre_dispatch=True). Add it: every engine must capture."
        )
    return dict(_captures(candidate)), dict(_edges(candidate))


def _on_made(edge: Callable[[Any], Artifact]) -> _Edge:
    """Give an engine's own edge the engine's own artifact."""
    return lambda given: edge(given.made)


def _captures(bare: Any) -> Iterator[tuple[str, _Capture]]:
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


def _capture(bare: Any, flags: Mapping[str, bool]) -> _Capture:
    def capture(module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], shapes: Any) -> Artifact:
        effective = effective_shapes(module, shapes)
        specs = specs_by_position(module, args, kwargs, effective)
        request = Request(args, kwargs, effective, specs, **flags)
        return ProgramArtifact(_export(bare, module, replace(request, dynamic_shapes=shapes)).program, request)

    return capture


def _export(bare: Any, module: Any, request: Request) -> ProgramArtifact:
    flags = {"strict": request.strict, "pre_dispatch": request.pre_dispatch}
    taken = {flag: value for flag, value in flags.items() if _takes(bare.export, flag)}
    program = bare.export(module, request.args, dict(request.kwargs), dynamic_shapes=request.dynamic_shapes, **taken)
    return ProgramArtifact(program, request)


def _edges(bare: Any) -> list[tuple[str, _Edge]]:
    edges: list[tuple[str, _Edge]] = [("retrace", lambda given: _retrace(bare, given))]
    if _has(bare, "decompose"):
        edges.append(("decompose", on_program(lambda program: bare.decompose(program))))
    if _has(bare, "save") and _has(bare, "load"):
        edges.append(("serdes", lambda given: _serdes(bare, given)))
    if _has(bare, "unflatten"):
        edges.append(("unflatten", lambda given: _unflatten(bare, given)))
    return edges


def _has(bare: Any, method: str) -> bool:
    return callable(getattr(bare, method, None))


def _serdes(bare: Any, given: StageArtifact) -> Artifact:
    buffer = _saved(bare, program_of(given))
    records = archive_records(buffer)
    buffer.seek(0)
    try:
        program = bare.load(buffer)
    except Exception as error:
        what = bare.unportable(program_of(given)) if _has(bare, "unportable") else ""
        if isinstance(error, Unsupported) or not what:
            raise
        raise Unsupported(f"the engine does not read {what}: {type(error).__name__}") from error
    return ProgramArtifact(program, given.request, saved=records, resave=lambda: archive_records(_saved(bare, program)))


def _saved(bare: Any, program: Any) -> io.BytesIO:
    buffer = io.BytesIO()
    bare.save(program, buffer)
    return buffer


def _retrace(bare: Any, given: StageArtifact) -> Artifact:
    if given.request is None:
        raise Unsupported("a retrace needs the arguments of the capture, but its artifact does not have them.")
    run = given.callable()
    request = replace(given.request, dynamic_shapes=_shapes_for(run, given.request))
    return ProgramArtifact(_export(bare, run, request).program, given.request)


def _shapes_for(run: Any, request: Request) -> Any:
    """Return the request's dynamic shapes in the names of another callable."""
    shapes, specs = request.dynamic_shapes, request.specs
    if specs is None:
        return shapes
    if is_specification(shapes):
        return specification_for(run, specs, request.kwargs, shapes) if isinstance(run, torch.nn.Module) else shapes
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


def _unflatten(bare: Any, given: StageArtifact) -> Artifact:
    return ModuleArtifact(bare.unflatten(program_of(given)), given.request)
