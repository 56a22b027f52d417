"""The expected failures of one session: read at its start, matched with its cases, and written at its end on
request.
"""

from __future__ import annotations

import difflib
import glob
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from pytest_exportcheck.expectations.baseline import ExpectationDelta, rewritten, write
from pytest_exportcheck.expectations.entry import names_engine
from pytest_exportcheck.expectations.file import Entry, ExpectationsFile, read


@dataclass(frozen=True)
class Named:
    """An item by its names."""

    path: str
    case: str
    engine: str
    mode: str


class ExpectationStore:
    """The file, and the changes of the items that ran. ``partial`` are the lines of entries that name items which are
    not part of the run.

    Raises
    ------
    ExpectationsError
        When the file cannot be read. One that is to be written may be missing.
    """

    def __init__(self, path: str, *, update: bool) -> None:
        self._update = update
        self._deltas: list[ExpectationDelta] = []
        self._told: list[str] = []
        self._collected: Sequence[Named] = ()
        self.unmatched: Sequence[Entry] = ()
        self.partial: set[int] = set()
        there = path and not (update and not Path(path).exists())
        self.file = read(Path(path)) if there else ExpectationsFile(Path(path))

    def add(self, delta: ExpectationDelta) -> None:
        """Add the changes of an item to the file."""
        self._deltas.append(delta)

    def write(self, *, ended_early: bool = False) -> None:
        """Rewrite the file, if that was requested and any item ran. After a run that ended early it is not known which
        items were left out: only entries that name a single item can be stale then.

        Raises
        ------
        ExpectationsError
            When it cannot be written.
        """
        if not self._update or not self._deltas:
            return
        open_ended = {entry.line for entry in self.file.entries if ended_early and entry.expectation.names_several}
        deltas = [replace(each, stale=tuple(set(each.stale) - open_ended)) for each in self._deltas]
        after = rewritten(self.file, deltas)
        if after.text or self.file.path.exists():
            write(self.file.path, after.text, self.file.line_end)
        gone = len(self.file.entries) - after.kept
        self._told.append(
            f"wrote {self.file.path}: {_entries(after.kept + after.new)} ({after.new} new, {gone} deleted)"
        )

    def told(self) -> Iterator[str]:
        """Yield lines for the end of the summary."""
        yield from self._told

    def tell(self, text: str) -> None:
        """Add a line to the end of the summary."""
        self._told.append(text)

    def collected(self, items: Sequence[Named], in_part: bool, whole: Collection[str] = ()) -> None:
        """Record all items before any is deselected; ``in_part``: there may be cases that were not collected, except
        for those of the files ``whole``. Entries that cannot match any case are ``unmatched``.
        """
        self._collected = items
        self.partial = {entry.line for entry in self.file.entries if in_part and glob.has_magic(entry.case)}
        self.unmatched = [
            entry
            for entry in self.file.entries
            if not any(entry.is_for(item.path, item.case) for item in items)
            and (entry.case.rpartition("::")[0] in whole if in_part else not _is_of_a_source(entry))
        ]

    def nearest(self, entry: Entry) -> str:
        """Return the case that an unmatched entry may mean; empty where none is similar."""
        names = {f"{item.path}::{item.case}" if "::" in entry.case else item.case for item in self._collected}
        return next(iter(difflib.get_close_matches(entry.case, sorted(names), n=1)), "")

    def selected(self, items: Collection[Named]) -> None:
        """Record the items that are part of the run: the state of the other items that an entry names is not known."""
        left_out = set(self._collected) - set(items)
        self.partial |= {entry.line for entry in self.file.entries if any(_names(entry, item) for item in left_out)}


def _is_of_a_source(entry: Entry) -> bool:
    """Return whether the case comes from a source, which another run may name."""
    path, colons, _ = entry.case.partition("::")
    return bool(colons) and not path.endswith(".py") and not glob.has_magic(path)


def _names(entry: Entry, item: Named) -> bool:
    said = entry.expectation
    return entry.is_for(item.path, item.case) and names_engine(said, item.engine) and fnmatchcase(item.mode, said.mode)


def _entries(number: int) -> str:
    return f"{number} {'entry' if number == 1 else 'entries'}"
