"""The page of the difference of two saved programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from markupsafe import Markup

from pytest_exportcheck.records import Finding
from pytest_exportcheck.records.file_difference import FileDifference
from pytest_exportcheck.reports.diff import (
    GROUPS,
    Group,
    by_line,
    counts_text,
    following_text,
    not_counted_counts,
    verdict_text,
    version_changes,
)
from pytest_exportcheck.reports.html.graph import Box, graph_svg
from pytest_exportcheck.reports.html.page import page
from pytest_exportcheck.reports.lines import count
from pytest_exportcheck.reports.wording import detail_of, kind_of

_DRAWN = 24  # nodes at most
_FEW = 12  # nodes of which the inputs are drawn too


@dataclass(frozen=True)
class _Entry:
    """A difference: a row of a table. ``old`` and ``new`` are None where there is no such thing."""

    word: str
    style: str
    place: str
    kind: str
    old: str | None
    new: str | None
    detail: str


@dataclass(frozen=True)
class _Section:
    id: str
    title: str
    counts: str
    lines: Sequence[tuple[str, Sequence[_Entry]]]
    following: Sequence[_Entry]
    following_title: str
    drawing: Markup | None
    not_drawn: str


def diff_page(difference: FileDifference) -> bytes:
    """Return the page."""
    old, new = (PurePath(each.file).name for each in (difference.old, difference.new))
    sections = [
        _section(group, found, difference)
        for group in GROUPS
        if (found := [each for each in difference.findings if each.check in group.checks])
        or any(each.check in group.checks for each in difference.following)
    ]
    return page(
        "diff.html.j2",
        title=f"{old} and {new}",
        difference=difference,
        verdict=verdict_text(difference),
        versions=list(version_changes(difference)),
        sections=sections,
        left_out=[_entry(each) for each in difference.not_counted],
        counts=not_counted_counts(difference.not_counted),
    )


def _section(group: Group, found: Sequence[Finding], difference: FileDifference) -> _Section:
    following = [_entry(each) for each in difference.following if each.check in group.checks]
    is_nodes = "nodes" in group.checks
    drawn = _drawn(difference) if is_nodes else []
    hidden = len(difference.nodes) - len(drawn)
    return _Section(
        id=group.title.replace(" ", "-"),
        title=group.title.capitalize(),
        counts=counts_text(found),
        lines=[(line, [_entry(each) for each in findings]) for line, findings in by_line(found)],
        following=following,
        following_title=following_text([each for each in difference.following if each.check in group.checks]),
        drawing=graph_svg(drawn, label="The nodes that differ, with their neighbours") if drawn else None,
        not_drawn=f"{count(hidden, 'more node')} {'is' if hidden == 1 else 'are'} not drawn." if hidden else "",
    )


def _drawn(difference: FileDifference) -> list[Box]:
    """Return the nodes to draw; of many, the first ones, without inputs."""
    nodes = difference.nodes
    if len(nodes) > _FEW:
        nodes = tuple(each for each in nodes if each.operator != "placeholder") or nodes
    return [Box(name=each.name, operator=each.operator, inputs=each.inputs, mark=each.mark) for each in nodes[:_DRAWN]]


def _entry(finding: Finding) -> _Entry:
    word, style = {"dropped": ("removed", "removed"), "added": ("added", "added")}.get(
        finding.change, ("changed", "differs")
    )
    return _Entry(
        word=word,
        style=style,
        place=finding.place,
        kind="" if finding.change in ("dropped", "added") and not finding.key else kind_of(finding),
        old=None if finding.change == "added" else finding.expected,
        new=None if finding.change == "dropped" else finding.actual,
        detail=detail_of(finding),
    )
