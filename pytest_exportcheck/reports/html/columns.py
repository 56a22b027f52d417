"""The matrix of a page: a line for each case, a column for each mode of each engine, and in it one for each kind of
settings.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import groupby

from pytest_exportcheck.modes import AGREE, Mode, in_order
from pytest_exportcheck.records import Outcome, Report, RunSettings, Status

_FITTING = 3.5  # characters of a heading in the width of one column

Case = tuple[str, str]  # path and name


@dataclass(frozen=True)
class Settings:
    """The kinds of settings of a report, and a label for each: the values in which they differ."""

    kinds: tuple[RunSettings, ...]
    labels: tuple[str, ...]
    differing: tuple[str, ...]

    @staticmethod
    def of(report: Report) -> Settings:
        """Return the kinds in the order of the runs."""
        kinds = tuple(dict.fromkeys(run.settings for run in report.runs))
        names = [each.name for each in fields(RunSettings)]
        differing = tuple(name for name in names if len({getattr(kind, name) for kind in kinds}) > 1)
        labels = tuple(", ".join(f"{name} {_value(getattr(kind, name))}" for name in differing) for kind in kinds)
        return Settings(kinds, labels, differing)

    @property
    def short(self) -> tuple[str, ...]:
        """Return the labels for narrow columns: without the name where one setting differs."""
        if len(self.differing) != 1:
            return self.labels
        return tuple(label.removeprefix(f"{self.differing[0]} ") for label in self.labels)

    @property
    def several(self) -> bool:
        """Return True if the runs are to be compared."""
        return len(self.kinds) > 1


def _value(value: object) -> str:
    return (" ".join(map(str, value)) or "none") if isinstance(value, tuple) else str(value)


@dataclass(frozen=True)
class Column:
    """One mode of one engine under one kind of settings, which is given by its number."""

    engine: str
    mode: Mode
    settings: int


@dataclass(frozen=True)
class Heading:
    """A heading over several columns of one engine. One that does not fit into its columns is read to the user, and part
    of the headings below it.
    """

    engine: str
    text: str
    span: int
    fits: bool = True


@dataclass(frozen=True)
class Cell:
    """A sign of the matrix. ``target`` is the id of what the page shows about the item, if there is anything;
    ``differs`` says that the item has another status under other settings.
    """

    status: Status | None
    target: str = ""
    title: str = ""
    differs: bool = False


@dataclass(frozen=True)
class Row:
    """The line of a case. ``number`` is its place on the page."""

    number: int
    path: str
    case: str
    target: str
    cells: tuple[Cell, ...]

    @property
    def differs(self) -> bool:
        """Return True if the case has different statuses under different settings."""
        return any(cell.differs for cell in self.cells)


@dataclass(frozen=True)
class Matrix:
    """The matrix as the template shows it."""

    columns: tuple[Column, ...]
    engines: tuple[Heading, ...]
    captures: tuple[Heading, ...]
    modes: tuple[Heading, ...]
    rows: tuple[Row, ...]


def cases_of(report: Report) -> dict[Case, list[Outcome]]:
    """Return the items of each case, by engine; cases that fail come first."""
    cases: dict[Case, list[Outcome]] = {}
    engines = {name: number for number, name in enumerate(engines_of(report))}
    for item in sorted(report.items, key=lambda each: (each.path, each.case, engines[each.engine])):
        cases.setdefault((item.path, item.case), []).append(item)
    return dict(sorted(cases.items(), key=lambda each: not any(item.status.fails for item in each[1])))


def matrix_of(
    report: Report,
    settings: Settings,
    cases: Mapping[Case, Sequence[Outcome]],
    targets: Mapping[Case, str],
    shown_at: Mapping[tuple[str, int], str],
) -> Matrix:
    """Return the matrix. ``targets`` are ids of the cases on the page, ``shown_at`` those of the items, by id and run."""
    columns = list(_columns(report, settings))
    number = {kind: place for place, kind in enumerate(settings.kinds)}
    rows = []
    for place, (case, items) in enumerate(cases.items()):
        found = {
            Column(item.engine, Mode.parse(item.mode), number[report.runs[item.run].settings]): item for item in items
        }
        cells = tuple(_cell(column, found, settings, shown_at) for column in columns)
        rows.append(Row(place, *case, targets.get(case, ""), cells))
    captures = _headings(columns, lambda column: (column.engine, column.mode.capture))
    narrow = {(each.engine, each.text) for each in captures if not each.fits}
    return Matrix(
        tuple(columns),
        engines=_headings(columns, lambda column: (column.engine, column.engine)),
        captures=captures,
        modes=_headings(columns, lambda column: (column.engine, _label(column, narrow))),
        rows=tuple(rows),
    )


def engines_of(report: Report) -> list[str]:
    """Return the engines of the items, in the order of the runs; the comparison of engines comes last."""
    named = [name for run in report.runs for name in run.engines]
    there = dict.fromkeys(item.engine for item in report.items)
    return sorted(there, key=lambda name: (name == AGREE, named.index(name) if name in named else len(named)))


def _columns(report: Report, settings: Settings) -> Iterable[Column]:
    for engine in engines_of(report):
        for mode in in_order(Mode.parse(item.mode) for item in report.items if item.engine == engine):
            yield from (Column(engine, mode, number) for number in range(len(settings.kinds)))


def _headings(columns: Sequence[Column], key: Callable[[Column], tuple[str, str]]) -> tuple[Heading, ...]:
    groups = ((name, len(list(members))) for name, members in groupby(columns, key=key))
    return tuple(Heading(*name, span, fits=len(name[1]) <= span * _FITTING) for name, span in groups)


def _label(column: Column, narrow: Collection[tuple[str, str]]) -> str:
    """Return the edges of a mode; the whole mode where the heading of its capture does not fit."""
    mode = column.mode
    return str(mode) if (column.engine, mode.capture) in narrow else "-".join(mode.edges) or "capture"


def _cell(
    column: Column, found: Mapping[Column, Outcome], settings: Settings, shown_at: Mapping[tuple[str, int], str]
) -> Cell:
    item = found.get(column)
    if item is None:
        return Cell(None)
    alike = (found.get(Column(column.engine, column.mode, number)) for number in range(len(settings.kinds)))
    differs = len({each.status for each in alike if each is not None}) > 1
    target = shown_at.get((item.nodeid, item.run), "")
    title = item.status.value.replace("_", " ")
    if target:
        run = f", {settings.labels[column.settings]}" if settings.several else ""
        title = f"{title}: {item.case}, {item.engine} {item.mode}{run}{' (differs between runs)' if differs else ''}"
    return Cell(item.status, target, title, differs)
