"""The wrapper of what engines return: the rest of the plugin sees a ``StageArtifact``, from every engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pytest_exportcheck.engines.protocol import Artifact, Capture, Edge, ProgramArtifact, Request, StageArtifact
from pytest_exportcheck.errors import EngineError, Unsupported

_T = TypeVar("_T")


def as_artifact(made: Any, maker: str) -> StageArtifact:
    """Give an engine's artifact every attribute. ``maker`` names the capture or edge that made it.

    Raises
    ------
    EngineError
        When the artifact cannot be called.
    """
    if not callable(getattr(made, "callable", None)):
        raise EngineError(
            f"{maker} returned {described(made)}, expected an artifact: an object with a method callable() that "
            "returns a function of the model's arguments."
        )
    others: Mapping[str, Any] = _attribute(made, "other_readers", Mapping, {})
    return StageArtifact(
        made,
        program=getattr(made, "program", None),
        request=_attribute(made, "request", Request, None),
        saved=_attribute(made, "saved", Mapping, {}),
        resave=_attribute(made, "resave", Callable, None),
        reader=_attribute(made, "reader", str, ""),
        facts=_attribute(made, "facts", Mapping, {}),
        other_readers={name: as_artifact(other, f"{maker}, as read by {name},") for name, other in others.items()},
    )


def wrapped_capture(capture: Callable[..., Any], maker: str) -> Capture:
    """Wrap what a capture returns."""

    def wrapped(module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], shapes: Any) -> StageArtifact:
        return as_artifact(capture(module, args, kwargs, shapes), maker)

    return wrapped


def wrapped_edge(edge: Callable[[StageArtifact], Any], maker: str) -> Edge:
    """Wrap what an edge returns."""

    def wrapped(given: StageArtifact) -> StageArtifact:
        return as_artifact(edge(given), maker)

    return wrapped


def program_of(artifact: StageArtifact) -> Any:
    """Return the program of an artifact.

    Raises
    ------
    Unsupported
        When the artifact is a module without one.
    """
    if artifact.program is None:
        raise Unsupported(f"{type(artifact.made).__name__} holds no program to transform.")
    return artifact.program


def on_program(step: Callable[[Any], Any]) -> Callable[[StageArtifact], Artifact]:
    """Make an edge of a step from a program to a program."""

    def edge(given: StageArtifact) -> Artifact:
        return ProgramArtifact(step(program_of(given)), given.request)

    return edge


def described(value: Any) -> str:
    """Name what was returned in place of what was expected."""
    return "None" if value is None else f"an object of type {type(value).__qualname__}"


def _attribute(made: Any, name: str, kind: Any, default: _T) -> _T:
    """Read an optional attribute; one of another type belongs to the engine and has another meaning."""
    value: _T = getattr(made, name, default)
    return value if isinstance(value, kind) else default
