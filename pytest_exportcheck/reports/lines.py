"""A line of terminal text: pieces, each with its style."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

#: The width of a terminal where none is known.
WIDTH = 80


@dataclass(frozen=True)
class Line:
    """Pieces of text, each with the names of its styles: ``red bold``; an empty name means no style. A ``command`` is
    to be copied, and is not folded.
    """

    pieces: tuple[tuple[str, str], ...]
    command: bool = False

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


def listed(
    head: str, parts: Sequence[tuple[str, str]], width: int, *, separator: str = ", ", indent: str = "  "
) -> Iterator[Line]:
    """Yield a list, each part with its style, in lines of this width. A line ends between two parts."""
    pieces, used = [(head, "")], len(head)
    for number, (text, style) in enumerate(parts):
        end = separator if number < len(parts) - 1 else ""
        if number and used + len(text + end.rstrip()) > width:
            yield from folded(Line((*pieces[:-1], (separator.rstrip(), ""))), width)
            pieces, used = [(indent, "")], len(indent)
        pieces += [(text, style), (end, "")]
        used += len(text + end)
    yield from folded(Line(tuple(pieces)), width)


def folded(line: Line, width: int) -> Iterator[Line]:
    """Yield a line in lines of this width, with its styles. It is broken at spaces, and the rest is indented: below the
    value if the line begins with a label, or else by two more spaces.
    """
    if line.command or len(line.text) <= width:
        yield line
        return
    first = line.pieces[0][0]
    indent = " " * (len(first) if first.endswith(" ") else len(first) - len(first.lstrip()) + 2)
    words = [(word, style) for text, style in line.pieces for word in re.findall(r"\s*\S+(?:\s+$)?", text) or [text]]
    pieces: list[tuple[str, str]] = []
    room = width
    for word, style in words:
        if len(word.rstrip()) > room and any(text.strip() for text, _ in pieces):
            yield Line(tuple(pieces))
            word, pieces, room = word.lstrip(), [(indent, "")], width - len(indent)
        if pieces and pieces[-1][1] == style:
            word_before, _ = pieces.pop()
            pieces.append((word_before + word, style))
        else:
            pieces.append((word, style))
        room -= len(word)
    yield Line(tuple(pieces))


def count(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 item``, ``2 items``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
