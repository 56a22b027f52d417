"""The tables of a page: known defects, the ledger, sizes, timings, notes, runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from typing import Any

from pytest_exportcheck.modes import CAPTURES, EDGES, GOLDEN, Mode, in_order, parse_stage_name, stage_name
from pytest_exportcheck.records import KnownAs, LedgerTotal, Outcome, Report, RunSettings, SizesTried
from pytest_exportcheck.reports.html.columns import Case, Settings, cases_of, engines_of
from pytest_exportcheck.reports.html.findings import link_of
from pytest_exportcheck.reports.lines import count
from pytest_exportcheck.reports.terminal import defects_of

_SLOWEST = 10

Number = Callable[[Any], int]
"""The number of the settings of an item, or of a line of the ledger."""


# --- known defects ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Defect:
    """A known defect of torch, with the number of items that have it under each kind of settings."""

    known: KnownAs
    link: str
    counts: tuple[int, ...]


def defects(report: Report, settings: Settings, number: Number) -> tuple[Defect, ...]:
    """Return the known defects, those of most items first."""
    counts = [
        defects_of([item for item in report.items if number(item) == each]) for each in range(len(settings.kinds))
    ]
    found = [Defect(known, link_of(known), tuple(each.get(known, 0) for each in counts)) for known in _all(counts)]
    return tuple(sorted(found, key=lambda each: (-sum(each.counts), each.known.id)))


def _all(counts: Sequence[Mapping[KnownAs, int]]) -> dict[KnownAs, None]:
    return dict.fromkeys(known for each in counts for known in each)


# --- ledger -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bar:
    """A line of the ledger with the shares of its bar in percent."""

    line: LedgerTotal
    run: str
    shares: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class EdgeLedger:
    """The ledger of one edge: the fields that it did not keep everywhere, those outside the contract, and the number of
    the others.
    """

    edge: str
    losing: tuple[Bar, ...]
    outside: tuple[Bar, ...]
    kept: int

    @property
    def text(self) -> str:
        """Return how many fields the edge did not keep."""
        losing = len({each.line.field for each in self.losing})
        total = losing + self.kept
        text = f"{losing} of {count(total, 'field')} not kept everywhere" if losing else ""
        text = text or f"{count(total, 'field')} kept everywhere"
        outside = len({each.line.field for each in self.outside})
        return f"{text}; {outside} outside the contract" if outside else text


def ledger(report: Report, settings: Settings, number: Number) -> dict[str, tuple[EdgeLedger, ...]]:
    """Return the ledgers of each engine, edges in their order."""
    order = [*CAPTURES, *EDGES]
    engines = engines_of(report)
    lines = sorted(
        report.ledger,
        key=lambda each: (
            engines.index(each.engine) if each.engine in engines else len(engines),
            each.engine,
            order.index(each.edge) if each.edge in order else len(order),
            each.edge,
            each.field,
            number(each),
        ),
    )
    found: dict[str, tuple[EdgeLedger, ...]] = {}
    for (engine, edge), members in groupby(lines, key=lambda each: (each.engine, each.edge)):
        bars = [Bar(each, settings.labels[number(each)], _shares(each)) for each in members if each.before]
        losing = [each for each in bars if each.line.kept != each.line.before]
        entry = EdgeLedger(
            edge,
            tuple(each for each in losing if each.line.promised),
            tuple(each for each in losing if not each.line.promised),
            len({each.line.field for each in bars} - {each.line.field for each in losing}),
        )
        found[engine] = (*found.get(engine, ()), entry)
    return found


def _shares(line: LedgerTotal) -> tuple[tuple[str, float], ...]:
    parts = (("kept", line.kept), ("changed", line.changed), ("dropped", line.dropped))
    return tuple((name, round(100 * number / line.before, 2)) for name, number in parts if number)


# --- sizes ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Strip:
    """The sizes that items of one case tried, where they tried the same."""

    places: tuple[str, ...]
    tried: SizesTried
    examples: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class CaseSizes:
    """The sizes that the items of one case tried."""

    case: str
    strips: tuple[Strip, ...]

    @property
    def failing(self) -> int:
        """Return the number of failing sizes."""
        return len({row for strip in self.strips for row in strip.tried.failing})

    @property
    def text(self) -> str:
        """Return how many items tried how many sizes."""
        items = sum(len(strip.places) for strip in self.strips)
        return f"{count(items, 'item')} tried {count(self._sizes, 'size')}"

    @property
    def refused(self) -> tuple[str, ...]:
        """Return the ways out of the declared sizes that every item refused that tried them."""
        return tuple(sorted({way for strip in self.strips for way in strip.tried.refused}.difference(self.accepted)))

    @property
    def accepted(self) -> tuple[str, ...]:
        """Return the ways out of the declared sizes that some item accepted."""
        return tuple(sorted({way for strip in self.strips for way in strip.tried.accepted}))

    @property
    def _sizes(self) -> int:
        tried = [strip.tried for strip in self.strips]
        return len({row for each in tried for row in (*each.agreed, *each.failing, *each.invalid)})


def sizes(report: Report, settings: Settings, number: Number) -> tuple[CaseSizes, ...]:
    """Return the sizes of each case, those with failing sizes first."""
    found: dict[Case, dict[SizesTried, list[str]]] = {}
    for case, items in cases_of(report).items():
        for item in items:
            if item.sizes is not None:
                run = f" ({settings.labels[number(item)]})" if settings.several else ""
                name = f"{item.engine} {Mode.parse(item.mode).unfuzzed}{run}"
                found.setdefault(case, {}).setdefault(item.sizes, []).append(name)
    cases = [
        CaseSizes(name, tuple(Strip(tuple(places), tried, tuple(_examples(tried))) for tried, places in strips.items()))
        for (_, name), strips in found.items()
    ]
    return tuple(sorted(cases, key=lambda each: not each.failing))


def _examples(tried: SizesTried) -> Iterator[tuple[str, str]]:
    """Yield each row as text, with its class, sorted by size."""
    kinds = {"passed": tried.agreed, "failed": tried.failing, "skipped": tried.invalid}
    rows = sorted((row, kind) for kind, rows in kinds.items() for row in rows)
    yield from (("\u00d7".join(map(str, row)), kind) for row, kind in rows)


# --- timings ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Time:
    """The seconds of something in the runs with some settings, and their share of the longest in percent."""

    name: str
    run: str
    seconds: float
    count: int
    share: float


def stage_times(report: Report, settings: Settings, number: Number) -> tuple[Time, ...]:
    """Return the seconds that each kind of stage took, summed over all cases, the longest first."""
    found: dict[tuple[str, str], list[float]] = {}
    for item in report.items:
        for stage, seconds in item.seconds.items():
            engine, mode = parse_stage_name(stage)
            found.setdefault((f"{engine} {mode.last}", settings.labels[number(item)]), []).append(seconds)
    return _times([(*name, sum(seconds), len(seconds)) for name, seconds in found.items()])


def slowest(report: Report, settings: Settings, number: Number) -> tuple[Time, ...]:
    """Return the items that took longest."""
    rows = [
        (f"{item.case}: {item.engine} {item.mode}", settings.labels[number(item)], item.duration, 1)
        for item in report.items
    ]
    return _times(rows)[:_SLOWEST]


def _times(rows: Sequence[tuple[str, str, float, int]]) -> tuple[Time, ...]:
    longest = max((seconds for _, _, seconds, _ in rows), default=0.0) or 1.0
    ordered = sorted(rows, key=lambda each: (-each[2], each))
    return tuple(
        Time(name, run, seconds, count, round(100 * seconds / longest, 2)) for name, run, seconds, count in ordered
    )


# --- packages ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Packages:
    """The facts about the packages of runtimes: their names, and for each item the values in the order of the names."""

    names: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def packages(items: Sequence[Outcome]) -> Packages:
    """Return the facts about packages. A fact that an item lacks is empty."""
    having = [item for item in items if item.facts and item.engine != GOLDEN]
    names = tuple(dict.fromkeys(name for item in having for name in item.facts))
    rows = (
        (
            f"{item.case}[{stage_name(item.engine, Mode.parse(item.mode))}]",
            tuple(_text(item.facts.get(name, "")) for name in names),
        )
        for item in having
    )
    return Packages(names, tuple(rows))


# --- notes and runs ---------------------------------------------------------------------------


def notes(items: Sequence[Outcome]) -> dict[str, tuple[str, ...]]:
    """Return the cases that have each note."""
    found: dict[str, dict[str, None]] = {}
    for item in items:
        for note in item.notes:
            found.setdefault(note, {})[item.case] = None
    return {note: tuple(cases) for note, cases in found.items()}


def settings_table(settings: Settings) -> tuple[tuple[str, tuple[str, ...], bool], ...]:
    """Return a row for each setting: its name, its values and whether they differ."""
    rows = []
    for each in fields(RunSettings):
        values = tuple(_text(getattr(kind, each.name)) for kind in settings.kinds)
        rows.append((each.name, values, each.name in settings.differing))
    return tuple(rows)


def _text(value: object) -> str:
    return (" ".join(map(str, value)) or "none") if isinstance(value, tuple) else str(value)


def modes_of(names: Sequence[str]) -> str:
    """Return modes in their order, separated by spaces."""
    return " ".join(map(str, in_order(map(Mode.parse, names))))
