"""The page of the comparison of two reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from pytest_exportcheck.records import Outcome, Status
from pytest_exportcheck.records.comparison import BREAKING, Comparison, ItemChange
from pytest_exportcheck.reports.compare_text import (
    SHORT,
    TITLES,
    only_in_one,
    rule_of,
    totals_of,
    warnings_of,
)
from pytest_exportcheck.reports.failure import body_lines, first_line, summary_line
from pytest_exportcheck.reports.html.page import page
from pytest_exportcheck.reports.lines import count

#: The style of a line of text -> the class of a badge.
_CLASSES: Mapping[str, str] = {"red bold": "failed", "red": "failed", "yellow": "known", "green": "passed"}


@dataclass(frozen=True)
class _Item:
    name: str
    old_status: str
    new_status: str
    headline: str
    old: str
    new: str


@dataclass(frozen=True)
class _Section:
    """A kind of change: its items, which are open where they broke."""

    id: str
    title: str
    short: str
    count: str
    open: bool
    items: Sequence[_Item]


def compare_page(comparison: Comparison, *, old: str, new: str) -> bytes:
    """Return the page. ``old`` and ``new`` are the names of the files."""
    sections = [
        _Section(
            id=kind.replace("_", "-"),
            title=title.capitalize(),
            short=SHORT[kind],
            count=count(len(changes), "item"),
            open=kind in BREAKING,
            items=[_item(change) for change in changes],
        )
        for kind, (title, _) in TITLES.items()
        if (changes := comparison.of_kind(kind))
    ]
    return page(
        "compare.html.j2",
        title=f"{PurePath(old).name} and {PurePath(new).name}",
        compared=f"{count(comparison.compared, 'item')} compared",
        totals=[(text, _CLASSES[style]) for text, style in totals_of(comparison)]
        or [("the results are the same", "passed")],
        warnings=list(warnings_of(comparison, old, new)),
        settings=comparison.settings,
        errors=comparison.errors,
        sections=sections,
        losses=comparison.losses,
        slower=comparison.captures.slower,
        rule=f"A capture is listed if it takes {rule_of(comparison.captures)}.",
        lists=list(only_in_one(comparison, old, new)),
    )


def _item(change: ItemChange) -> _Item:
    return _Item(
        name=change.new.nodeid,
        old_status=str(change.old.status),
        new_status=str(change.new.status),
        headline=_headline(change),
        old=_text(change.old),
        new=_text(change.new),
    )


def _headline(change: ItemChange) -> str:
    if change.defects:
        return ", ".join(change.defects)
    failing = next((each for each in (change.new, change.old) if each.status.fails), None)
    return summary_line(failing) if failing else first_line(change.new.reason)


def _text(item: Outcome) -> str:
    """Return the findings of an item that has any to explain; or else its status with the reason."""
    if item.status in (Status.PASSED, Status.BLOCKED, Status.SKIPPED, Status.UNSUPPORTED):
        return f"{item.status}: {item.reason}" if item.reason else str(item.status)
    return "\n".join(body_lines(item)).strip()
