"""Edges that a hook adds to every engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pytest_exportcheck.engines.artifacts import described, on_program, wrapped_edge
from pytest_exportcheck.engines.protocol import Edge, Engine
from pytest_exportcheck.errors import EngineError

JUDGED_AS = ("decompose", "serdes", "retrace", "unflatten")


@dataclass(frozen=True)
class ProgramEdge:
    """A step from a program to a program.

    Parameters
    ----------
    run
        A function from an ``ExportedProgram`` to another one. It must not modify the program that it is given. Where it
        cannot transform one program, it raises :class:`pytest_exportcheck.Unsupported`.
    contract_of
        The edge by whose contract the step is judged: ``decompose`` (values may move a little, nodes may change),
        ``serdes`` (nothing may change), ``retrace`` or ``unflatten``.

    Raises
    ------
    EngineError
        When ``contract_of`` is not one of these.
    """

    run: Callable[[Any], Any]
    contract_of: str = "decompose"

    def __post_init__(self) -> None:
        if self.contract_of not in JUDGED_AS:
            raise EngineError(f"contract_of must be one of {', '.join(JUDGED_AS)}, got {self.contract_of!r}.")


def with_edges(engine: Engine, added: Mapping[str, Any]) -> Engine:
    """Return the engine with further edges: ``ProgramEdge`` objects, or functions from a program to a program.

    Raises
    ------
    EngineError
        When an edge has the name of one that the engine has, a name that a mode cannot hold, or is not a function.
    """
    if not added:
        return engine
    own: dict[str, Edge] = dict(engine.edges)
    contract_of = dict(engine.contract_of)
    for name, given in added.items():
        edge = given if isinstance(given, ProgramEdge) else ProgramEdge(given)
        if not callable(edge.run):
            raise EngineError(
                f"edge {name!r} must be a function that takes a program and returns a program, got {edge.run!r}."
            )
        if not isinstance(name, str) or not name.isidentifier() or name in own:
            raise EngineError(
                f"edge {name!r}: give it a name of letters, digits and '_' that no other edge of engine {engine.name!r} has."
            )
        own[name] = wrapped_edge(on_program(_returning_a_program(name, edge.run)), f"edge {name!r}")
        contract_of[name] = edge.contract_of
    return replace(engine, edges=own, contract_of=contract_of)


def _returning_a_program(name: str, run: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Wrap a step so that it must return a program. A pass that works in place and returns None is the usual
    mistake.
    """

    def checked(given: Any) -> Any:
        program = run(given)
        if not callable(getattr(program, "module", None)):
            raise EngineError(f"edge {name!r} returned {described(program)}, expected a torch.export.ExportedProgram.")
        return program

    return checked
