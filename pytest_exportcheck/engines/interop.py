"""The edge ``interop``: a file that one engine saves is loaded by every other one of its format."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from pytest_exportcheck.engines.artifacts import program_of, wrapped_edge
from pytest_exportcheck.engines.protocol import Artifact, Edge, Engine, Load, ProgramArtifact, Save, StageArtifact
from pytest_exportcheck.errors import InteropError, Unsupported
from pytest_exportcheck.reference.pt2.convert.unrepresentable import MARK


def with_interop(engines: Mapping[str, Engine]) -> dict[str, Engine]:
    """Return the engines; those that save have an edge to each other one that loads files of the same format."""
    formatted = [each for each in engines.values() if each.format]
    found = dict(engines)
    for engine in formatted:
        readers = {
            each.name: each.load
            for each in formatted
            if each is not engine and each.load and each.format == engine.format
        }
        if engine.save and readers and "interop" not in engine.edges:
            edge = _edge(engine.name, engine.save, readers, engine.unportable or _portable)
            found[engine.name] = replace(engine, edges={**engine.edges, "interop": edge})
    return found


def _portable(_: Any) -> str:
    return ""


def _edge(saver: str, save: Save, readers: Mapping[str, Load], unportable: Callable[[Any], str]) -> Edge:
    """Return an edge that has each of the readers load the file: all results are judged, and later stages use the
    first.
    """

    def edge(given: StageArtifact) -> Artifact:
        program = program_of(given)
        buffer = io.BytesIO()
        save(program, buffer)
        beyond = partial(unportable, program)
        first, *others = [
            (name, ProgramArtifact(_loaded(saver, name, load, buffer, beyond), given.request))
            for name, load in readers.items()
        ]
        return replace(first[1], reader=first[0], other_readers=dict(others))

    return wrapped_edge(edge, f"edge 'interop' of engine {saver!r}")


def _loaded(saver: str, reader: str, load: Load, buffer: io.BytesIO, beyond: Callable[[], str]) -> Any:
    buffer.seek(0)
    try:
        return load(buffer)
    except Unsupported:
        raise
    except Exception as error:
        if what := beyond():
            raise Unsupported(f"{reader} cannot read {what}") from error
        if MARK in str(error) or MARK.encode() in buffer.getvalue():  # torch only logs which name it cannot resolve
            raise Unsupported(f"{reader} cannot represent something in this program.") from error
        raise InteropError(saver, reader, error) from error
