"""Modes, the ids that name them, the tree of the modes of an engine, and the order of modes.

A mode is a path of stages that begins with a capture: ``strict-decompose-serdes``. Modes of one engine form a prefix
tree; walking it depth first makes every capture and every intermediate artifact once. Only this module knows how a mode
is written: other code asks a ``Mode``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise

from pytest_exportcheck.errors import SelectionError

CAPTURES = ("nonstrict", "nonstrict_postdispatch", "strict", "strict_postdispatch")
NONSTRICT = frozenset({"nonstrict", "nonstrict_postdispatch"})

#: Edges in the order in which siblings run. ``unflatten`` edits its input, so it comes last and spoils the input for no
#: other.
EDGES = ("decompose", "serdes", "retrace", "interop", "unflatten")

#: Edges that end in something that can only be called: what people ship. Only a name selects them, never ``default`` or
#: ``all``.
RUNTIMES = ("reload", "aoti", "onnx", "executorch", "executorch_xnnpack", "openvino")

#: The name, in place of that of an engine, of an item that compares the captures of several engines.
AGREE = "agree"

#: The name, in place of that of an engine, of an item that judges a golden program. Its mode is the version of torch that
#: wrote the program: ``golden-2.13.0``.
GOLDEN = "golden"

#: The last step of an item whose sizes are fuzzed. It is not an edge, because it makes no artifact.
FUZZ = "fuzz"

#: Edges whose input need not have a program and only has to be callable.
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

_ORDER = (*EDGES, *RUNTIMES)

_JOINT = "-"


@dataclass(frozen=True)
class Mode:
    """A path of stages. ``stages[0]`` is the capture."""

    stages: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Mode:
        """Read a mode as ``str`` writes it. Any text is a mode; :meth:`ModeTree.has` knows which ones an engine can
        run.
        """
        return cls(tuple(text.split(_JOINT)))

    def __str__(self) -> str:
        return _JOINT.join(self.stages)

    @property
    def depth(self) -> int:
        return len(self.stages)

    @property
    def capture(self) -> str:
        return self.stages[0]

    @property
    def is_nonstrict(self) -> bool:
        return self.capture in NONSTRICT

    @property
    def last(self) -> str:
        """Return the last stage, which is the one that this mode judges."""
        return self.stages[-1]

    @property
    def edge(self) -> str | None:
        """Return the last stage, if it is not the capture."""
        return self.last if self.depth > 1 else None

    @property
    def edges(self) -> tuple[str, ...]:
        return self.stages[1:]

    @property
    def repeats_last(self) -> bool:
        """Return True if the last edge comes twice in a row: ``nonstrict-serdes-serdes``."""
        return self.depth > 2 and self.stages[-1] == self.stages[-2]

    @property
    def parent(self) -> Mode | None:
        return Mode(self.stages[:-1]) if self.depth > 1 else None

    def up_to(self, depth: int) -> Mode:
        """Return the first stages, as many as given."""
        return Mode(self.stages[:depth])

    def prefixes(self) -> Iterator[Mode]:
        """Yield this mode and all modes that it begins with, the longest first."""
        return (self.up_to(depth) for depth in range(self.depth, 0, -1))

    def then(self, edge: str) -> Mode:
        return Mode((*self.stages, edge))

    @property
    def is_fuzz(self) -> bool:
        """Return True if sizes are fuzzed at the end of this mode."""
        return self.edge == FUZZ

    @property
    def fuzzed(self) -> Mode:
        """Return the same path, with sizes fuzzed at its end."""
        return self.then(FUZZ)

    @property
    def unfuzzed(self) -> Mode:
        """Return the path whose program is called: this mode without the fuzzing at its end."""
        return self.up_to(self.depth - 1) if self.is_fuzz else self

    def is_prefix_of(self, other: Mode) -> bool:
        """Return True if the other mode is this one or builds on it. A fuzzed mode builds on the one fuzzed before its
        last edge.
        """
        if self.is_fuzz and other.is_fuzz:
            return self.unfuzzed.is_prefix_of(other.unfuzzed)
        return other.stages[: self.depth] == self.stages


def stage_name(engine: str, mode: Mode) -> str:
    """Return the name of the last stage of a mode of an engine: ``torch-nonstrict-serdes``."""
    return f"{engine}{_JOINT}{mode}"


def parse_stage_name(text: str) -> tuple[str, Mode]:
    """Read the name of a stage: its engine and its mode."""
    engine, _, mode = text.partition(_JOINT)
    return engine, Mode.parse(mode)


@dataclass(frozen=True)
class ItemId:
    """The parts of the id of an item: ``path::case[engine-mode]``."""

    path: str
    case: str
    engine: str
    mode: Mode

    @staticmethod
    def parse(text: str) -> ItemId | None:
        """Read an id. Return None for the id of another test; a test that is parametrized may have an id of this form."""
        match = _ITEM_ID.fullmatch(text)
        return ItemId(match["path"], match["case"], *parse_stage_name(match["stage"])) if match else None

    @property
    def name(self) -> str:
        """Return the last part of the id, without the path."""
        return f"{self.case}[{stage_name(self.engine, self.mode)}]"

    @property
    def scope(self) -> str:
        """Return what the ids of all items of the case begin with."""
        return f"{self.path}::{self.case}"


_ITEM_ID = re.compile(r"(?P<path>.+?)::(?P<case>[\w.+-]+)\[(?P<stage>[a-z0-9_]+(?:-[a-z0-9_]+)+|golden-[a-z0-9_.!]+)\]")


def in_order(modes: Iterable[Mode]) -> list[Mode]:
    """Return the modes in the order in which they are planned, run and reported, each once.

    Modes are sorted depth first. Captures and edges come in their canonical order, others after them by name. A fuzzed
    mode comes directly after the mode that it fuzzes.
    """
    return sorted(
        set(modes), key=lambda mode: (_rank(mode.capture, CAPTURES), *(_rank(each, _ORDER) for each in mode.edges))
    )


@dataclass(frozen=True)
class ModeTree:
    """All the modes that an engine with these captures, edges and runtimes can run."""

    captures: tuple[str, ...]
    edges: tuple[str, ...]
    runtimes: tuple[str, ...] = ()

    @staticmethod
    def of(captures: Iterable[str], edges: Iterable[str], runtimes: Iterable[str] = ()) -> ModeTree:
        return ModeTree(_ordered(captures, CAPTURES), _ordered(edges, EDGES), _ordered(runtimes, RUNTIMES))

    def to_depth(self, depth: int) -> Iterator[Mode]:
        """Yield every mode of at most ``depth`` stages without a runtime, each before the ones that it is a prefix of."""
        for capture in self.captures:
            yield from self._below(Mode((capture,)), depth)

    def _below(self, mode: Mode, depth: int) -> Iterator[Mode]:
        yield mode
        if mode.depth < depth:
            for edge in self.edges:
                if self.allows(mode.last, edge):
                    yield from self._below(mode.then(edge), depth)

    def allows(self, stage: str, edge: str) -> bool:
        if stage in self.runtimes:
            return False
        return stage not in YIELDS_CALLABLE_ONLY or edge in NEEDS_CALLABLE_ONLY

    def has(self, mode: Mode) -> bool:
        known = (*self.edges, *self.runtimes)
        return mode.capture in self.captures and all(
            edge in known and self.allows(stage, edge) for stage, edge in pairwise(mode.stages)
        )

    def shipped(self, runtime: str) -> Iterator[Mode]:
        """Yield the modes of at most three stages that end in a runtime."""
        if runtime in self.runtimes:
            before = (mode for mode in self.to_depth(ALL_DEPTH - 1) if self.allows(mode.last, runtime))
            yield from (mode.then(runtime) for mode in before)


def select(names: Sequence[str], trees: Sequence[ModeTree]) -> list[Mode]:
    """Return the modes that names and globs select, over several engines.

    ``default`` is the default set, with every added edge after ``nonstrict``; ``all`` is every mode of up to three
    stages, of which a glob selects some. A name without a glob may have more stages. Modes that end in a runtime are
    selected by their names, and by globs that end in its name: ``*-onnx``.

    Raises
    ------
    SelectionError
        For a name that no engine can run and a glob that matches nothing, with the nearest name.
    """
    every = [mode for each in trees for mode in each.to_depth(ALL_DEPTH)]
    chosen: dict[Mode, None] = {}
    for name in names:
        matches = _matches(name, every, trees)
        if not matches:
            raise SelectionError(_unknown(name, every, trees))
        chosen.update(dict.fromkeys(matches))
    return list(chosen)


def check_names(names: Sequence[str], trees: Sequence[ModeTree]) -> None:
    """Refuse names and globs that no engine here can run. A fuzzed mode has a name too: ``nonstrict-fuzz``.

    Raises
    ------
    SelectionError
        As :func:`select`.
    """
    plain = [name for name in names if name != "*" and not any(_is_fuzzed_in(each, name) for each in trees)]
    select(plain, trees)


def narrow(modes: Sequence[Mode], globs: Sequence[str], tree: ModeTree, *, may_add: bool) -> list[Mode]:
    """Return those of the session's modes that a case's globs select; with ``may_add`` also the modes that it names in
    full.

    A name or glob that matches fuzzed modes only (``*-serdes-fuzz``) selects these of the session's modes.
    """
    if not globs:
        return list(modes)
    fuzzed = [glob for glob in globs if _is_fuzzed_in(tree, glob)]
    kept = [mode for mode in modes if _any_matches(globs, mode)]
    kept += [mode.fuzzed for mode in modes if _any_matches(fuzzed, mode.fuzzed)]
    named = [Mode.parse(glob) for glob in globs if not _is_glob(glob)]
    return kept + [mode for mode in named if may_add and tree.has(mode.unfuzzed)]


def _is_fuzzed_in(tree: ModeTree, glob: str) -> bool:
    """Return True if a name or glob matches fuzzed modes of an engine, and no mode before its sizes are fuzzed."""
    if not _is_glob(glob):
        mode = Mode.parse(glob)
        return mode.is_fuzz and tree.has(mode.unfuzzed)
    every = list(tree.to_depth(ALL_DEPTH))
    return any(fnmatchcase(str(mode.fuzzed), glob) for mode in every) and not any(
        fnmatchcase(str(mode), glob) for mode in every
    )


def _any_matches(globs: Sequence[str], mode: Mode) -> bool:
    return any(fnmatchcase(str(mode), glob) for glob in globs)


def _matches(name: str, every: Sequence[Mode], trees: Sequence[ModeTree]) -> list[Mode]:
    if name == "default":
        added = dict.fromkeys(edge for each in trees for edge in each.edges if edge not in EDGES)
        return [Mode.parse(each) for each in (*DEFAULT, *(f"nonstrict-{edge}" for edge in added))]
    if name == "all":
        return list(every)
    if _is_glob(name):
        shipped = (mode for tree in trees for mode in tree.shipped(name.rpartition(_JOINT)[2]))
        return [mode for mode in dict.fromkeys((*every, *shipped)) if fnmatchcase(str(mode), name)]
    mode = Mode.parse(name)
    return [mode] if any(each.has(mode) for each in trees) else []


def _unknown(name: str, every: Sequence[Mode], trees: Sequence[ModeTree]) -> str:
    near = difflib.get_close_matches(name, [*map(str, every), "default", "all"], n=1)
    captures = _ordered((each for tree in trees for each in tree.captures), CAPTURES)
    edges = _ordered((each for tree in trees for each in tree.edges), EDGES)
    runtimes = _ordered((each for tree in trees for each in tree.runtimes), RUNTIMES)
    return (
        f"unknown mode {name!r}"
        + (f"; did you mean {near[0]!r}? " if near else ". ")
        + "A mode is a capture, then edges, joined by '-'. "
        + f"Captures: {', '.join(captures)}. Edges: {', '.join(edges)}. "
        + (f"Runtimes, at the end: {', '.join(runtimes)}. " if runtimes else "")
        + "Or a glob, 'default' or 'all'."
    )


def _is_glob(text: str) -> bool:
    return any(sign in text for sign in "*?[")


def _ordered(names: Iterable[str], canon: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names), key=lambda name: _rank(name, canon)))


def _rank(name: str, canon: Sequence[str]) -> tuple[int, str]:
    if name == FUZZ:
        return (-1, name)
    return (canon.index(name) if name in canon else len(canon), name)
