"""A line of terminal text: pieces, each with its style."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

#: The width of a terminal where none is known.
WIDTH = 80


@dataclass(frozen=True)
class Line:
    """Pieces of text, each with the names of its styles: ``red bold``; an empty name means no style."""

    pieces: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        """Return the line without its styles."""
        return "".join(text for text, _ in self.pieces)


def plain(text: str, style: str = "") -> Line:
    """Make a line of one piece."""
    return Line(((text.rstrip(), style),))


def wrapped(text: str, width: int, style: str = "", indent: str = "  ") -> Iterator[Line]:
    """Yield a sentence in lines of this width; those after the first are indented. Names and links are not broken."""
    lines = textwrap.wrap(
        text, max(width, 20), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    yield from (plain(line, style) for line in lines or [""])


def count(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 item``, ``2 items``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
