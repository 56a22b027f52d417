"""The edge ``interop``: what one engine saves is loaded by every other one of its format."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pytest_exportcheck.engines.bare import BareEngine
from pytest_exportcheck.engines.protocol import Artifact, Edge, Engine, ProgramArtifact
from pytest_exportcheck.errors import EngineError, Unsupported
from pytest_exportcheck.raised import raised_from
from pytest_exportcheck.serde.inexpressible import MARK


def with_interop(engines: Mapping[str, Engine]) -> dict[str, Engine]:
    """The engines; those that save have an edge to each other one that loads files of the same format."""
    bare = [each for each in engines.values() if isinstance(each, BareEngine) and each.format]
    found = dict(engines)
    for engine in bare:
        others = [each for each in bare if each is not engine and each.load and each.format == engine.format]
        if engine.save and others and "interop" not in engine.edges:
            found[engine.name] = replace(engine, edges={**engine.edges, "interop": _edge(engine, others)})
    return found


def _edge(engine: BareEngine, others: Sequence[BareEngine]) -> Edge:
    """Loaded by each of the others; the program of the first is what is judged further."""

    def edge(artifact: Artifact) -> Artifact:
        if not isinstance(artifact, ProgramArtifact) or engine.save is None:
            raise Unsupported(f"{type(artifact).__name__} holds no program to save.")
        buffer = io.BytesIO()
        engine.save(artifact.program, buffer)
        first, *_ = [_loaded(engine.name, other, buffer) for other in others]
        return ProgramArtifact(first, artifact.request)

    return edge


def _loaded(saver: str, other: BareEngine, buffer: io.BytesIO) -> object:
    buffer.seek(0)
    try:
        return other.load(buffer) if other.load else None
    except Unsupported:
        raise
    except Exception as error:
        text = raised_from(error)
        if MARK in str(error):
            raise Unsupported(f"{other.name} has no form for something in this program.") from error
        raise EngineError(f"{other.name} cannot load what {saver} saved: {text}") from error
