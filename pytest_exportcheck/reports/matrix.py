"""The matrix: a line for each case, a sign for each mode. Modes are grouped by engine and capture, and edges have short
names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from pytest_exportcheck.modes import AGREE, EDGES, FUZZ, Mode, in_order
from pytest_exportcheck.records import Outcome, Status
from pytest_exportcheck.reports.lines import Line, count, listed, plain, wrapped

_FEW = 8  # cases: a shorter list is shown whole
_MOST = 20  # cases shown if none of the others fails
_GAP = "  "  # between groups of columns
_SHORTEST_NAME = 24  # to which the names of cases are cut at most
_NO_EDGE = "-"
_TITLES = ("engine", "capture", "edges")

_Case = tuple[str, str]  # path and name
_Signs = Mapping[tuple[str, Mode], Status]


@dataclass(frozen=True)
class _Column:
    """A mode of an engine, and the same mode with sizes fuzzed: one sign, or two."""

    engine: str
    mode: Mode
    label: str
    signs: int

    @property
    def width(self) -> int:
        return max(len(self.label), self.signs)


@dataclass(frozen=True)
class _Group:
    """The columns of one capture of one engine."""

    engine: str
    capture: str
    columns: tuple[_Column, ...]

    @property
    def _columns_width(self) -> int:
        return sum(each.width + 1 for each in self.columns) - 1

    @property
    def title(self) -> str:
        """Return the capture; its initials if the whole name is wider than the columns, and where engines are compared."""
        initials = "".join(word[:1] for word in self.capture.split("_"))
        if self.engine == AGREE:
            return initials
        return self.capture if len(self.capture) <= self._columns_width or len(initials) < 2 else initials

    @property
    def width(self) -> int:
        return max(self._columns_width, len(self.title))


def matrix_lines(rows: Sequence[Outcome], *, verbose: bool, width: int) -> Iterator[Line]:
    """Yield the matrix and the meaning of its signs. Cases that fail come first. ``verbose`` shows every case; else a
    long list is cut: cases that passed in every mode are left out, then others that do not fail.
    """
    cases: dict[_Case, dict[tuple[str, Mode], Status]] = {}
    for row in rows:
        cases.setdefault((row.path, row.case), {})[row.engine, Mode.parse(row.mode)] = row.status
    shown = _shown(cases, verbose)
    if shown:
        edges = _edge_names(rows)
        groups = list(_groups(rows, edges))
        longest = max(*(len(title) for title in _TITLES), *(len(name) + 2 for _, name in shown))
        names = min(longest, max(_SHORTEST_NAME, width - len(_GAP) - _width(groups)))
        for packed in _packed(groups, width - names - len(_GAP)):
            yield from _table(packed, shown, names)
        yield plain("")
        yield from _legend(rows, groups, edges, width)
    left_out = [signs for case, signs in cases.items() if case not in shown]
    if left_out:
        yield plain(_left_out_text(left_out, bool(shown)))


def _left_out_text(left_out: Sequence[_Signs], others: bool) -> str:
    what = "passed in every mode" if all(map(_is_green, left_out)) else "did not fail"
    return f"{count(len(left_out), 'other case' if others else 'case')} {what} (-v lists them)"


def _shown(cases: Mapping[_Case, _Signs], verbose: bool) -> dict[_Case, _Signs]:
    """Return the cases to show, those that fail first."""
    ordered = dict(sorted(cases.items(), key=lambda each: not _fails(each[1])))
    if verbose or len(cases) <= _FEW:
        return ordered
    failing = {case: signs for case, signs in ordered.items() if _fails(signs)}
    others = [(case, signs) for case, signs in ordered.items() if case not in failing and not _is_green(signs)]
    return {**failing, **dict(others[: max(0, _MOST - len(failing))])}


def _fails(signs: _Signs) -> bool:
    return any(status.fails for status in signs.values())


def _is_green(signs: _Signs) -> bool:
    return set(signs.values()) == {Status.PASSED}


# --- columns ----------------------------------------------------------------------------------


def _edge_names(rows: Iterable[Outcome]) -> dict[str, str]:
    """Return short names of the edges: the fewest first letters that no edge before has."""
    edges = {edge for row in rows for edge in Mode.parse(row.mode).unfuzzed.edges}
    order = [*(edge for edge in EDGES if edge in edges), *sorted(edges.difference(EDGES))]
    names: dict[str, str] = {}
    for edge in order:
        prefixes = (edge[:length] for length in range(1, len(edge) + 1))
        names[edge] = next((each for each in prefixes if each not in names.values()), edge)
    return names


def _groups(rows: Sequence[Outcome], edges: Mapping[str, str]) -> Iterator[_Group]:
    for engine in dict.fromkeys(row.engine for row in rows):
        modes = {Mode.parse(row.mode) for row in rows if row.engine == engine}
        unfuzzed = in_order(mode.unfuzzed for mode in modes)
        for capture, members in groupby(unfuzzed, key=lambda mode: mode.capture):
            columns = [_Column(engine, mode, _label(mode, edges), 2 if mode.fuzzed in modes else 1) for mode in members]
            yield _Group(engine, capture, tuple(columns))


def _label(mode: Mode, edges: Mapping[str, str]) -> str:
    joint = "" if all(len(name) == 1 for name in edges.values()) else "-"
    return joint.join(edges[edge] for edge in mode.edges) or _NO_EDGE


def _width(groups: Sequence[_Group]) -> int:
    engines = [list(members) for _, members in groupby(groups, key=lambda group: group.engine)]
    widths = [max(len(members[0].engine), _joined_width(members)) for members in engines]
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _joined_width(groups: Sequence[_Group]) -> int:
    return sum(group.width for group in groups) + len(_GAP) * (len(groups) - 1)


def _packed(groups: Sequence[_Group], room: int) -> Iterator[list[_Group]]:
    """Put groups next to each other as long as there is room; the others come below. A group without room is cut."""
    pack: list[_Group] = []
    for group in groups:
        for part in _cut(group, room):
            if pack and _width([*pack, part]) > room:
                yield pack
                pack = []
            pack.append(part)
    yield pack


def _cut(group: _Group, room: int) -> Iterator[_Group]:
    columns: list[_Column] = []
    for column in group.columns:
        if columns and replace(group, columns=(*columns, column)).width > room:
            yield replace(group, columns=tuple(columns))
            columns = []
        columns.append(column)
    yield replace(group, columns=tuple(columns))


# --- lines ------------------------------------------------------------------------------------


def _table(groups: Sequence[_Group], cases: Mapping[_Case, _Signs], names: int) -> Iterator[Line]:
    yield plain("")
    yield from map(plain, _header(groups, names))
    columns = {(column.engine, mode) for group in groups for column in group.columns for mode in _both(column)}
    within = [(case, signs) for case, signs in cases.items() if columns & signs.keys()]
    for path, members in groupby(within, key=lambda each: each[0][0]):
        yield plain(path)
        for (_, name), signs in members:
            yield _stripped([(f"{_name(name, names):<{names}}{_GAP}", ""), *_cells(groups, signs)])


def _stripped(pieces: list[tuple[str, str]]) -> Line:
    while not pieces[-1][0].strip():
        pieces.pop()
    return Line(tuple(pieces))


def _both(column: _Column) -> tuple[Mode, Mode]:
    return (column.mode, column.mode.fuzzed)


def _header(groups: Sequence[_Group], names: int) -> Iterator[str]:
    lines = [[f"{title:<{names}}"] for title in _TITLES]
    for engine, members in _by_engine(groups):
        captures = _GAP.join(f"{group.title:<{group.width}}" for group in members)
        labels = _GAP.join(f"{_labels(group):<{group.width}}" for group in members)
        for line, text in zip(lines, (engine, captures, labels), strict=True):
            line.append(f"{text:<{max(len(engine), len(captures))}}")
    return map(_GAP.join, lines)


def _by_engine(groups: Sequence[_Group]) -> Iterator[tuple[str, list[_Group]]]:
    for engine, members in groupby(groups, key=lambda group: group.engine):
        yield engine, list(members)


def _labels(group: _Group) -> str:
    return " ".join(f"{column.label:<{column.width}}" for column in group.columns)


def _cells(groups: Sequence[_Group], signs: _Signs) -> Iterator[tuple[str, str]]:
    """Yield the signs of one case, each with its colour, and the spaces between them."""
    for number, (engine, members) in enumerate(_by_engine(groups)):
        yield (_GAP if number else "", "")
        for place, group in enumerate(members):
            yield (_GAP if place else "", "")
            for column in group.columns:
                for mode in _both(column)[: column.signs]:
                    status = signs.get((engine, mode))
                    yield (status.sign, status.colour) if status else (" ", "")
                is_last = column is group.columns[-1]
                yield (" " * (column.width - column.signs + (not is_last)), "")
            yield (" " * (group.width - _joined_columns(group)), "")
        yield (" " * max(0, len(engine) - _joined_width(members)), "")


def _joined_columns(group: _Group) -> int:
    return len(_labels(group))


def _name(name: str, width: int) -> str:
    """Return the name of a case, indented; the middle of a long one is left out."""
    room = width - 2
    half = (room - 2) // 2
    return f"  {name}" if len(name) <= room else f"  {name[: room - 2 - half]}..{name[-half:]}"


def _legend(rows: Sequence[Outcome], groups: Sequence[_Group], edges: Mapping[str, str], width: int) -> Iterator[Line]:
    seen = {row.status for row in rows}
    signs = [f"{status.sign} {status.legend}" for status in Status if status in seen]
    if any(Mode.parse(row.mode).edge == FUZZ for row in rows):
        signs.append("second sign of a pair: sizes fuzzed")
    if any(row.engine == AGREE for row in rows):
        signs.append("column agree: programs of several engines compared")
    yield from listed("signs: ", [(sign, "") for sign in signs], width)
    if edges:
        yield from wrapped("edges: - none, " + ", ".join(f"{name} {edge}" for edge, name in edges.items()), width)
    short = dict.fromkeys((group.title, group.capture) for group in groups if group.title != group.capture)
    if short:
        yield from wrapped("captures: " + ", ".join(f"{title} {capture}" for title, capture in short), width)
