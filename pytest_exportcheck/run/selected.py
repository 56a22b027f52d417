"""The modes of an engine, the runtimes of a session, and what its options name of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pytest_exportcheck.engines.protocol import Engine
from pytest_exportcheck.errors import EngineError, SelectionError
from pytest_exportcheck.modes import CAPTURES, EDGES, FUZZ, GOLDEN, Mode, ModeTree, in_order
from pytest_exportcheck.options import Options
from pytest_exportcheck.run.runtime_edges import COMPILED, yields_package
from pytest_exportcheck.runtimes import bundled
from pytest_exportcheck.runtimes.protocol import Runtime


def tree_of(engine: Engine) -> ModeTree:
    """Return the modes that an engine can run."""
    shipped = {edge for edge in engine.edges if yields_package(engine, edge)}
    return ModeTree.of(engine.captures, set(engine.edges) - shipped, shipped)


def runtimes_of(added: Iterable[Any]) -> list[Runtime]:
    """Return the bundled runtimes and those of hooks.

    Raises
    ------
    EngineError
        For an object that is not a runtime, and for a name that is taken or that a mode cannot hold.
    """
    found = list(bundled())
    for each in added:
        if not isinstance(each, Runtime):
            raise EngineError(
                f"exportcheck_runtimes must return runtimes: objects with name, needs, extra, compile(program, folder) and "
                f"load(folder), got {each!r}."
            )
        if not each.name.isidentifier() or each.name in (*CAPTURES, *EDGES, FUZZ, *(known.name for known in found)):
            raise EngineError(
                f"runtime {each.name!r}: give it a name of letters, digits and '_' that no other stage has."
            )
        found.append(each)
    return found


def check_required(names: Sequence[str], engines: Mapping[str, Engine]) -> None:
    """Refuse a required name that no engine, mode or stage has.

    Raises
    ------
    SelectionError
        With the nearest name.
    """
    trees = [tree_of(engine) for engine in engines.values()]
    stages = list(dict.fromkeys(each for tree in trees for each in (*tree.captures, *tree.edges, *tree.runtimes)))
    for name in names:
        if name not in (*engines, *stages, GOLDEN) and not any(tree.has(Mode.parse(name)) for tree in trees):
            near = difflib.get_close_matches(name, [*engines, *stages], n=1)
            meant = f"; did you mean {near[0]!r}?" if near else "."
            raise SelectionError(
                f"--exportcheck-require: no engine, mode or stage is called {name!r}{meant} Engines: {', '.join(engines)}. Stages: "
                f"{', '.join(stages)}."
            )


def check_budgeted(names: Iterable[str], engines: Mapping[str, Engine]) -> str:
    """Return a message about a runtime that has a budget and does not exist, or is compared bit by bit. Empty where all
    take one.
    """
    known = dict.fromkeys(
        edge for each in engines.values() for edge in each.edges if each.contract_of.get(edge) == COMPILED
    )
    for name in names:
        if name != "*" and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            meant = f"; did you mean {near[0]!r}?" if near else "."
            return (
                f"agreement names {name!r}, which is not a runtime that may differ{meant} Runtimes: {', '.join(known)}."
            )
    return ""


def shipped_modes(options: Options, engines: Mapping[str, Engine]) -> list[str]:
    """Return the modes of ``--exportcheck-runtime``.

    Raises
    ------
    SelectionError
        For a runtime that does not exist, with the nearest name.
    """
    known = in_order(Mode((CAPTURES[0], each)) for tree in map(tree_of, engines.values()) for each in tree.runtimes)
    names = [mode.last for mode in known]
    for name in options.runtimes:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            meant = f"; did you mean {near[0]!r}?" if near else "."
            raise SelectionError(f"unknown runtime {name!r}{meant} Runtimes: {', '.join(names)}.")
    return [str(mode) for mode in known if mode.last in options.runtimes]
