"""The expected failures of one session: read at its start, matched with its cases, and written at its end when asked."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import msgspec

from pytest_exportcheck.expectations.baseline import Tally, rewritten, write
from pytest_exportcheck.expectations.file import ExpectationsFile, read


class Keeper:
    """Holds the file, and what the items that ran mean for it.

    Raises
    ------
    ExpectationsError
        When the file cannot be read. One that is to be written may be missing.
    """

    def __init__(self, path: str, *, update: bool) -> None:
        self._update = update
        self._tallies: list[Tally] = []
        self._told: list[str] = []
        there = path and not (update and not Path(path).exists())
        self.file = read(Path(path)) if there else ExpectationsFile(Path(path))

    def add(self, tally: Any) -> None:
        """What an item means for the file, as simple types."""
        if tally:
            self._tallies.append(msgspec.convert(tally, Tally))

    def write(self) -> None:
        """Write the file anew, if that was asked for and anything ran.

        Raises
        ------
        ExpectationsError
            When it cannot be written.
        """
        if not self._update or not self._tallies:
            return
        text = rewritten(self.file, self._tallies)
        if text or self.file.path.exists():
            write(self.file.path, text)
        gone = sum(1 for entry in self.file.entries if entry.text.strip() not in text)
        had = len(self.file.entries)
        has = text.count("[[expect]]")
        self._told.append(f"wrote {self.file.path}: {_entries(has)} ({has - (had - gone)} new, {gone} deleted)")

    def told(self) -> Iterator[str]:
        """Lines for the end of the summary."""
        yield from self._told

    def tell(self, text: str) -> None:
        """A further line for the end of the summary."""
        self._told.append(text)

    def match(self, cases: Collection[tuple[str, str]]) -> None:
        """Tell of entries that are for none of these cases, ``(path, name)``: all that there are."""
        for entry in self.file.entries:
            if not any(entry.is_for(*case) for case in cases):
                self._told.append(f"{entry.expectation.origin}: no case is called {entry.case!r}: delete the entry")


def _entries(number: int) -> str:
    return f"{number} {'entry' if number == 1 else 'entries'}"
