"""The findings of a page: each finding and each reason of a case once, with all the items that have it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from markupsafe import Markup

from pytest_exportcheck.modes import Mode, in_order
from pytest_exportcheck.records import DifferenceOrigin, Finding, KnownAs, NearNode, OriginRow, Outcome, Status
from pytest_exportcheck.reports.html.columns import Case, Settings
from pytest_exportcheck.reports.html.graph import Box, Mark, graph_svg
from pytest_exportcheck.reports.origin import starts_at
from pytest_exportcheck.reports.wording import calls_of, culprit_text, detail_of, kind_of, sides_of

#: Failing findings that a page shows unfolded.
_OPEN = 10
#: Commands of one finding.
_COMMANDS = 3


@dataclass(frozen=True)
class Place:
    """The items of one engine and one status that have a finding: their modes."""

    engine: str
    status: Status
    modes: tuple[str, ...]
    run: str = ""


@dataclass(frozen=True)
class Start:
    """The origin of a difference as the template shows it."""

    text: str
    origin: DifferenceOrigin
    rows: tuple[OriginRow, ...]
    before: Markup
    after: Markup


@dataclass(frozen=True, kw_only=True)
class Block:
    """A finding, or the reason of items without findings. ``kind`` is a class of the style sheet, ``badge`` its word;
    ``only`` names the settings that have it, where others do not.
    """

    id: str
    kind: str
    badge: str
    title: str
    places: tuple[Place, ...]
    fails: bool = False
    open: bool = False
    finding: Finding | None = None
    labels: tuple[str, str] = ("", "")
    calls: str = ""
    detail: str = ""
    culprit: str = ""
    link: str = ""
    start: Start | None = None
    reasons: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    only: str = ""

    @property
    def statuses(self) -> str:
        """Return the statuses of its items, for the filter."""
        return " ".join(dict.fromkeys(place.status.value for place in self.places))

    @property
    def engines(self) -> str:
        """Return the engines of its items, for the filter."""
        return " ".join(dict.fromkeys(place.engine for place in self.places))

    @property
    def items(self) -> int:
        """Return the number of items that have it."""
        return sum(len(place.modes) for place in self.places)


@dataclass(frozen=True)
class Article:
    """All that a page shows about one case."""

    id: str
    row: int
    path: str
    case: str
    line: int
    counts: Mapping[Status, int]
    blocks: tuple[Block, ...]
    tolerated: tuple[Block, ...]


@dataclass(eq=False)
class Articles:
    """The articles of a page, and where each item is shown."""

    articles: list[Article] = field(default_factory=list)
    targets: dict[Case, str] = field(default_factory=dict)
    shown_at: dict[tuple[str, int], str] = field(default_factory=dict)


def articles_of(
    cases: Mapping[Case, Sequence[Outcome]], settings: Settings, run_settings: Callable[[Outcome], int]
) -> Articles:
    """Return the articles of the cases that have anything to show. ``run_settings`` returns the number of the settings
    of an item.
    """
    found = Articles()
    names: set[str] = set()
    left = _OPEN
    for row, ((path, case), items) in enumerate(cases.items()):
        groups = _groups(items)
        if not groups:
            continue
        name = _unique(f"case-{_slug(case)}", names)
        ordered = sorted(groups.items(), key=lambda each: not _fails(*each))
        blocks = []
        for number, (key, having) in enumerate(ordered, 1):
            block = _block(
                f"{name}:{number}", key, having, settings, run_settings, {run_settings(item) for item in items}
            )
            block = replace(block, open=block.fails and left > 0)
            left -= block.fails
            blocks.append(block)
            for item in having:
                found.shown_at.setdefault((item.nodeid, item.run), block.id)
        found.targets[path, case] = name
        counts = {status: number for status in Status if (number := sum(item.status is status for item in items))}
        tolerated = tuple(block for block in blocks if block.kind == "tolerated")
        others = tuple(block for block in blocks if block.kind != "tolerated")
        found.articles.append(Article(name, row, path, case, items[0].line, counts, others, tolerated))
    return found


# --- groups -----------------------------------------------------------------------------------

_Key = Finding | tuple[Status, str]


def _groups(items: Iterable[Outcome]) -> dict[_Key, list[Outcome]]:
    """Return the items that have each finding, or each reason where an item has no findings."""
    groups: dict[_Key, list[Outcome]] = {}
    for item in items:
        if item.findings:
            for finding in dict.fromkeys(map(_bare, item.findings)):
                groups.setdefault(finding, []).append(item)
        elif item.reason:
            groups.setdefault((item.status, item.reason), []).append(item)
    return groups


def _bare(finding: Finding) -> Finding:
    """Return the finding without what may differ from item to item."""
    return replace(finding, detail="", causes=(), operators=None, origin=None)


def _fails(key: _Key, items: Sequence[Outcome]) -> bool:
    if isinstance(key, tuple):
        return key[0].fails
    return any(key in map(_bare, item.failing_findings) for item in items)


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-") or "unnamed"


def _unique(name: str, names: set[str]) -> str:
    """Return the name, with a number where it is used already."""
    number = 1
    found = name
    while found in names:
        number += 1
        found = f"{name}~{number}"
    names.add(found)
    return found


# --- blocks -----------------------------------------------------------------------------------


def _block(
    name: str,
    key: _Key,
    items: Sequence[Outcome],
    settings: Settings,
    run_settings: Callable[[Outcome], int],
    there: set[int],
) -> Block:
    numbers = sorted({run_settings(item) for item in items})
    groups: dict[tuple[int, str, Status], list[Mode]] = {}
    for item in items:
        groups.setdefault((run_settings(item), item.engine, item.status), []).append(Mode.parse(item.mode))
    places = tuple(
        Place(engine, status, tuple(map(str, in_order(modes))), settings.labels[number] if settings.several else "")
        for (number, engine, status), modes in sorted(groups.items(), key=lambda each: each[0][0])
    )
    only = "; ".join(settings.labels[number] for number in numbers) if set(numbers) != there else ""
    fails = _fails(key, items)
    commands = tuple(dict.fromkeys(item.reproduce for item in items if item.reproduce))[:_COMMANDS] if fails else ()
    if isinstance(key, tuple):
        status, reason = key
        return Block(
            id=name,
            kind=status.value,
            badge=_words(status.value),
            title=next(iter(reason.splitlines()), ""),
            detail=reason if "\n" in reason.strip() else "",
            places=places,
            fails=fails,
            commands=commands,
            only=only,
        )
    finding = next(each for item in items for each in item.findings if _bare(each) == key)
    kind, badge = _kind(key, fails, items)
    return Block(
        id=name,
        kind=kind,
        badge=badge,
        title=f"{finding.check}: {finding.place}: {kind_of(finding)}",
        places=places,
        fails=fails,
        finding=finding,
        labels=sides_of(finding),
        calls=" and ".join(calls_of(finding)),
        detail=detail_of(finding),
        culprit=culprit_text(finding),
        link=link_of(finding.known),
        start=_start(finding.origin) if finding.origin else None,
        reasons=tuple(dict.fromkeys(item.reason for item in items if item.reason)),
        commands=commands,
        only=only,
    )


def _kind(finding: Finding, fails: bool, items: Sequence[Outcome]) -> tuple[str, str]:
    """Return the class and the word of a finding."""
    if fails:
        return "failed", "fails"
    if finding.verdict == "broken":
        status = min((item.status for item in items), key=lambda each: each.rank)
        return status.value, _words(status.value)
    return finding.verdict, "known defect" if finding.verdict == "known" else _words(finding.verdict)


def _words(name: str) -> str:
    return name.replace("_", " ")


def link_of(known: KnownAs | None) -> str:
    """Return the address of the report of a known defect; empty where it is not one that a browser may follow."""
    issue = known.issue if known else ""
    return issue if issue.startswith(("https://", "http://")) else ""


# --- origins ----------------------------------------------------------------------------------


def _start(origin: DifferenceOrigin) -> Start:
    differing = {row.node.name for row in origin.rows}
    return Start(
        text=starts_at(origin),
        origin=origin,
        rows=origin.rows if len(origin.rows) > 1 else (),
        before=_drawn(origin.near_before, "partner", set(), "the nodes around it before the edge"),
        after=_drawn(origin.near_after, "origin", differing, "the nodes around the origin after the edge"),
    )


def _drawn(nodes: Sequence[NearNode], mark: Mark, differing: set[str], label: str) -> Markup:
    if not nodes:
        return Markup("")
    return graph_svg(list(_boxes(nodes, mark, differing)), label=label)


def _boxes(nodes: Sequence[NearNode], mark: Mark, differing: set[str]) -> Iterator[Box]:
    for node in nodes:
        found: Mark = mark if node.is_origin else "differs" if node.name in differing else ""
        yield Box(name=node.name, operator=node.operator, inputs=node.inputs, mark=found)
