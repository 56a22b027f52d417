"""Notices: lines about a whole run for the end of the summary, each of them once."""

from __future__ import annotations


class Notices:
    """The lines of one process, in the order in which they were added first."""

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}

    def add(self, line: str) -> None:
        """Add a line, unless it is there already."""
        self._lines[line] = None

    @property
    def lines(self) -> tuple[str, ...]:
        """Return the lines."""
        return tuple(self._lines)
