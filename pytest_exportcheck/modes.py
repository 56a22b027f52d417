"""Stages, the lattice of modes, and the order in which modes share their prefixes.

A mode is a path of stages that begins with a capture: ``strict-decompose-serdes``. Modes of one engine form a prefix
tree; walking it depth first makes every capture and every intermediate artifact once.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pytest_exportcheck.errors import SelectionError

CAPTURES = ("nonstrict", "nonstrict_postdispatch", "strict", "strict_postdispatch")

#: In this order siblings run. ``unflatten`` edits its input, so it comes last and spoils it for nobody.
EDGES = ("decompose", "serdes", "retrace", "interop", "unflatten")

#: What an item does after the last stage of its mode, where sizes are fuzzed: no edge, for nothing comes of it.
FUZZ = "fuzz"

#: What an edge needs of its input: a program, or just something to call.
NEEDS_CALLABLE_ONLY = frozenset({"retrace"})
YIELDS_CALLABLE_ONLY = frozenset({"unflatten"})

DEFAULT = (
    "nonstrict",
    "strict",
    "nonstrict_postdispatch",
    "nonstrict-decompose",
    "nonstrict-serdes",
    "strict-serdes",
    "nonstrict-decompose-serdes",
    "nonstrict-retrace",
    "strict-retrace",
    "nonstrict-serdes-retrace",
    "nonstrict-unflatten",
    "nonstrict-interop",
)

ALL_DEPTH = 3


@dataclass(frozen=True)
class Mode:
    """A path of stages. ``stages[0]`` is the capture."""

    stages: tuple[str, ...]

    @property
    def capture(self) -> str:
        return self.stages[0]

    @property
    def edge(self) -> str | None:
        """The last edge, which is the one that this mode judges; None for a bare capture."""
        return self.stages[-1] if len(self.stages) > 1 else None

    @property
    def parent(self) -> Mode | None:
        return Mode(self.stages[:-1]) if len(self.stages) > 1 else None

    @property
    def fuzzed(self) -> Mode:
        """The same path, with sizes fuzzed at its end."""
        return Mode((*self.stages, FUZZ))

    def is_prefix_of(self, other: Mode) -> bool:
        """Whether the other mode builds on this one. What is fuzzed builds on what was fuzzed before the last edge."""
        if self.stages[-1] == other.stages[-1] == FUZZ:
            return Mode(self.stages[:-1]).is_prefix_of(Mode(other.stages[:-1]))
        return other.stages[: len(self.stages)] == self.stages

    def __str__(self) -> str:
        return "-".join(self.stages)


@dataclass(frozen=True)
class Lattice:
    """All the modes that an engine with these captures and edges can run."""

    captures: tuple[str, ...]
    edges: tuple[str, ...]

    @staticmethod
    def of(captures: Iterable[str], edges: Iterable[str]) -> Lattice:
        return Lattice(_ordered(captures, CAPTURES), _ordered(edges, EDGES))

    def to_depth(self, depth: int) -> Iterator[Mode]:
        """Every mode of at most ``depth`` stages, each before the ones that it is a prefix of."""
        for capture in self.captures:
            yield from self._below(Mode((capture,)), depth)

    def _below(self, mode: Mode, depth: int) -> Iterator[Mode]:
        yield mode
        if len(mode.stages) < depth:
            for edge in self.edges:
                if self.allows(mode.stages[-1], edge):
                    yield from self._below(Mode((*mode.stages, edge)), depth)

    def allows(self, stage: str, edge: str) -> bool:
        return stage not in YIELDS_CALLABLE_ONLY or edge in NEEDS_CALLABLE_ONLY

    def has(self, mode: Mode) -> bool:
        steps = zip(mode.stages, mode.stages[1:], strict=False)
        return mode.capture in self.captures and all(
            edge in self.edges and self.allows(stage, edge) for stage, edge in steps
        )

    def order(self, modes: Iterable[Mode]) -> list[Mode]:
        """Depth first, captures and edges in their canonical order."""
        captures = {name: place for place, name in enumerate(self.captures)}
        edges = {name: place for place, name in enumerate(self.edges)}
        return sorted(
            set(modes),
            key=lambda mode: (captures[mode.capture], *(edges[edge] for edge in mode.stages[1:])),
        )


def select(names: Sequence[str], lattices: Sequence[Lattice]) -> list[Mode]:
    """The modes that names and globs stand for, over several engines.

    ``default`` is the default set, with every added edge behind ``nonstrict``, ``all`` the lattice to depth three; a glob picks from the lattice to depth three;
    a plain name may go deeper.

    Raises
    ------
    SelectionError
        For a name that no engine can run and a glob that matches nothing, with the nearest name.
    """
    lattice = [mode for each in lattices for mode in each.to_depth(ALL_DEPTH)]
    chosen: dict[Mode, None] = {}
    for name in names:
        matches = _matches(name, lattice, lattices)
        if not matches:
            raise SelectionError(_unknown(name, lattice, lattices))
        chosen.update(dict.fromkeys(matches))
    return list(chosen)


def check_names(names: Sequence[str], lattices: Sequence[Lattice]) -> None:
    """Refuse names and globs that no engine here can run. What is fuzzed has a name too: ``nonstrict-fuzz``.

    Raises
    ------
    SelectionError
        As :func:`select`.
    """
    fuzzed = {str(mode.fuzzed) for each in lattices for mode in each.to_depth(ALL_DEPTH)}
    plain = [name for name in names if name != "*" and not any(fnmatchcase(mode, name) for mode in fuzzed)]
    select(plain, lattices)


def narrow(modes: Sequence[Mode], globs: Sequence[str], lattice: Lattice, *, may_add: bool) -> list[Mode]:
    """Of the session's modes, those that a case's globs admit; with ``may_add`` also those it names in full."""
    if not globs:
        return list(modes)
    kept = [mode for mode in modes if any(fnmatchcase(str(mode), glob) for glob in globs)]
    named = [Mode(tuple(glob.split("-"))) for glob in globs if not _is_glob(glob)]
    return kept + [mode for mode in named if may_add and lattice.has(mode)]


def _matches(name: str, lattice: Sequence[Mode], lattices: Sequence[Lattice]) -> list[Mode]:
    if name == "default":
        added = dict.fromkeys(edge for each in lattices for edge in each.edges if edge not in EDGES)
        return [Mode(tuple(each.split("-"))) for each in (*DEFAULT, *(f"nonstrict-{edge}" for edge in added))]
    if name == "all":
        return list(lattice)
    if _is_glob(name):
        return [mode for mode in lattice if fnmatchcase(str(mode), name)]
    mode = Mode(tuple(name.split("-")))
    return [mode] if any(each.has(mode) for each in lattices) else []


def _unknown(name: str, lattice: Sequence[Mode], lattices: Sequence[Lattice]) -> str:
    near = difflib.get_close_matches(name, [*map(str, lattice), "default", "all"], n=1)
    captures = _ordered((each for lattice_ in lattices for each in lattice_.captures), CAPTURES)
    edges = _ordered((each for lattice_ in lattices for each in lattice_.edges), EDGES)
    return (
        f"unknown mode {name!r}"
        + (f"; did you mean {near[0]!r}? " if near else ". ")
        + "A mode is a capture, then edges, joined by '-'. "
        + f"Captures: {', '.join(captures)}. Edges: {', '.join(edges)}. Or a glob, 'default' or 'all'."
    )


def _is_glob(text: str) -> bool:
    return any(sign in text for sign in "*?[")


def _ordered(names: Iterable[str], canon: Sequence[str]) -> tuple[str, ...]:
    given = dict.fromkeys(names)
    return (*(name for name in canon if name in given), *(name for name in given if name not in canon))
