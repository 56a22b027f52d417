"""The file of expected failures: TOML tables ``[[expect]]``, each with its line number.

```toml
[[expect]]
case = "case_shop.py::mlp"     # path::name or only name; a glob
mode = "strict*"               # glob; default: every mode
engine = "torch"               # glob; default: every engine
check = "outputs"              # glob; default: every check
error = "graph break"          # regular expression, searched for in the text of a finding
torch = "<2.15"                # version range
reason = "issue 12: prints in forward"
```
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pytest_exportcheck.errors import ExpectationsError
from pytest_exportcheck.expectations.entry import problems
from pytest_exportcheck.records import Expectation, Origin

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: The keys of an entry. The file has no version: a key keeps its meaning. Log, as in docs/stability.md:
#:
#: - 23 November 2026: the keys ``case``, ``mode``, ``engine``, ``check``, ``error``, ``torch`` and ``reason``.
KEYS = ("case", "mode", "engine", "check", "error", "torch", "reason")
FORM = "[[expect]]"
_HEADER = re.compile(r"\s*\[\[\s*expect\s*\]\]\s*(#.*)?$")


@dataclass(frozen=True)
class Entry:
    """One table of the file: the cases that it is for and the findings that it excuses, and its text with the comments
    above it.
    """

    expectation: Expectation
    text: str

    @property
    def case(self) -> str:
        """Return the glob of the cases that the entry is for."""
        return self.expectation.case

    @property
    def line(self) -> int:
        """Return the line of the entry's header."""
        return self.expectation.origin.line

    def place_of(self, key: str) -> str:
        """Return the place of the key; where the entry does not have the key, the place where the entry begins."""
        header = next(number for number, line in enumerate(self.text.splitlines()) if _HEADER.match(line))
        line = _line_of(self.text, key, self.line - header, self.line)
        return f"{self.expectation.origin.file}:{line}"

    def is_for(self, path: str, name: str) -> bool:
        """Return whether the entry is for the case of this name in the file ``path``."""
        return fnmatchcase(f"{path}::{name}" if "::" in self.case else name, self.case)


@dataclass(frozen=True)
class ExpectationsFile:
    """The content of the file. ``preamble`` is its text before the first entry; ``line_end`` is the line end of the
    file on disk.
    """

    path: Path
    preamble: str = ""
    entries: tuple[Entry, ...] = ()
    line_end: str = "\n"

    def of(self, path: str, name: str) -> tuple[Expectation, ...]:
        """Return the expected failures of one case."""
        return tuple(entry.expectation for entry in self.entries if entry.is_for(path, name))


def read(path: Path) -> ExpectationsFile:
    """Read the file.

    Raises
    ------
    ExpectationsError
        When the file cannot be read, is not TOML, or has an invalid entry: with the line and the key.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")  # Windows editors begin a file with a mark
    except OSError as error:
        raise ExpectationsError(
            f"the expectations file {path} cannot be read ({error.strerror or error}). Correct the path, or create the "
            f"file with --exportcheck-expectations={path} --exportcheck-update-expectations."
        ) from None
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise ExpectationsError(f"{path}:{line}: not UTF-8 ({error}). Save the file as UTF-8.") from None
    line_end = "\r\n" if "\r\n" in text else "\n"
    text = text.replace("\r\n", "\n")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        at = re.search(r" \(at line (\d+), column \d+\)$", message)
        where, message = (f"{path}:{at[1]}", message[: at.start()]) if at else (str(path), message)
        raise ExpectationsError(f"{where}: not valid TOML: {message}") from None
    preamble, *blocks = _blocks(text)
    tables = data.get("expect", [])
    for key in data:
        if key != "expect":
            raise ExpectationsError(
                f"{path}:{_line_of(text, key)}: unknown key {key!r}. The file holds [[expect]] tables."
            )
    if not isinstance(tables, list) or len(tables) != len(blocks):
        raise ExpectationsError(
            f"{path}:{_line_of(text, 'expect')}: write each expected failure as a separate table that begins with a "
            "line [[expect]]."
        )
    entries = tuple(_entry(path, block, table) for block, table in zip(blocks, tables, strict=True))
    return ExpectationsFile(path, preamble.text, entries, line_end)


@dataclass(frozen=True)
class _Block:
    """The text of an entry with the comments above it. ``first`` is the line at which the text begins, ``line`` that
    of the header ``[[expect]]``.
    """

    text: str
    first: int
    line: int


def _blocks(text: str) -> Iterator[_Block]:
    """Yield the text before the first entry, then the entries. A comment belongs to the entry directly below it."""
    lines = text.splitlines(keepends=True)
    headers = [number for number, line in enumerate(lines) if _HEADER.match(line)]
    starts = [_with_comments(lines, number) for number in headers]
    yield _Block("".join(lines[: starts[0] if starts else len(lines)]), 1, 1)
    for header, start, end in zip(headers, starts, [*starts[1:], len(lines)], strict=False):
        yield _Block("".join(lines[start:end]), start + 1, header + 1)


def _with_comments(lines: Sequence[str], number: int) -> int:
    while number and lines[number - 1].lstrip().startswith("#"):
        number -= 1
    return number


def _line_of(text: str, key: str, first: int = 1, default: int = 1) -> int:
    pattern = re.compile(rf"""\s*\[*\s*(?:expect\s*\.\s*)?["']?{re.escape(key)}["']?\s*[\]=.]""")
    return next((first + place for place, line in enumerate(text.splitlines()) if pattern.match(line)), default)


def _entry(path: Path, block: _Block, table: Any) -> Entry:
    def fail(key: str, message: str) -> ExpectationsError:
        return ExpectationsError(f"{path}:{_line_of(block.text, key, block.first, block.line)}: {message}")

    for key, value in table.items():
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, n=1)
            raise fail(
                key, f"unknown key {key!r}{f'; did you mean {near[0]!r}?' if near else '.'} Keys: {', '.join(KEYS)}."
            )
        if not isinstance(value, str):
            raise fail(key, f"{key} takes a string, got {value!r}.")
    if not table.get("case", "").strip():
        raise fail("case", f"{FORM} needs a case: write case = 'path::name' or case = 'name'; globs work.")
    expectation = Expectation(**{"reason": "", **table}, origin=Origin("", str(path), block.line), form=FORM)
    for key, message in problems(expectation):
        raise fail(key, message)
    return Entry(expectation, block.text)
