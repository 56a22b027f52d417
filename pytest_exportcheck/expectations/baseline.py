"""The rewriting of the file of expected failures after a run: new failures get an entry, and fixed ones lose theirs."""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from textwrap import shorten

from pytest_exportcheck.atomic_file import write_whole
from pytest_exportcheck.errors import ExpectationsError
from pytest_exportcheck.expectations.file import FORM, Entry, ExpectationsFile
from pytest_exportcheck.records import Expectation, Finding, Judgement, Outcome, Status
from pytest_exportcheck.reports.wording import kind_of

_LONGEST = 120  # characters of a reason


@dataclass(frozen=True, order=True)
class Failure:
    """A failure that an entry would excuse: a check of an item of a case, ``path::name``, and what it found."""

    case: str
    engine: str
    mode: str
    check: str
    found: str = field(compare=False)


@dataclass(frozen=True)
class ExpectationDelta:
    """The changes of one item to the file: ``excused`` by the entries of these lines, ``stale`` those of these
    lines.
    """

    failures: tuple[Failure, ...] = ()
    excused: tuple[tuple[int, Failure], ...] = ()
    stale: tuple[int, ...] = ()


@dataclass(frozen=True)
class Rewriting:
    """The new text, how many of the entries stay in it, and how many are added."""

    text: str
    kept: int
    new: int


def delta_of(judgement: Judgement, path: str, partial: Collection[int] = ()) -> ExpectationDelta:
    """Return the changes of a judgement to the file. ``path`` is the file of the case, as in the item's id; ``partial``
    are the lines of entries that also name items which are not part of this run: whether these entries are stale is not
    known.
    """
    outcome, reckoning = judgement.outcome, judgement.reckoning
    if reckoning is None:
        return ExpectationDelta()

    def failure(finding: Finding) -> Failure:
        mode = "*" if finding.check == "case" else reckoning.mode  # the first item of the case reports it
        return Failure(f"{path}::{outcome.case}", outcome.engine, mode, finding.check, _found(finding))

    return ExpectationDelta(
        failures=tuple(map(failure, reckoning.unexcused)),
        excused=tuple(
            (entry.origin.line, failure(finding)) for entry, finding in reckoning.excused if entry.form == FORM
        ),
        stale=tuple(entry.origin.line for entry in reckoning.stale if _in_file(entry, partial)),
    )


def accepted(judgement: Judgement, path: Path, partial: Collection[int] = ()) -> Outcome:
    """Return the outcome of an item in a run that writes the file: failures are expected from now on. A stale entry
    that the file cannot fix stays: one in a decorator, or one that needs items outside this run (``partial``).
    """
    outcome, reckoning = judgement.outcome, judgement.reckoning
    if reckoning is None or not all(_in_file(entry, partial) for entry in reckoning.stale):
        return outcome
    if reckoning.unexcused:
        return replace(outcome, status=Status.EXPECTED, failing=0, reason=f"written to {path}")
    if outcome.status is Status.STALE:
        return replace(outcome, status=Status.PASSED, reason=f"removed from {path}")
    return outcome


def _in_file(entry: Expectation, partial: Collection[int]) -> bool:
    return entry.form == FORM and entry.origin.line not in partial


def rewritten(file: ExpectationsFile, deltas: Iterable[ExpectationDelta]) -> Rewriting:
    """Return the new text. Entries that excused something, or whose items did not run, stay word for word with their
    comments; an entry that is stale for some items and excuses others is narrowed to the latter; new entries follow,
    sorted by case, engine, mode and check.
    """
    deltas = list(deltas)
    stale = {line for each in deltas for line in each.stale}
    kept = [((entry.case, *_key(entry)), entry.text) for entry in file.entries if entry.line not in stale]
    by_line = {entry.line: entry for entry in file.entries}
    narrowed = {
        replace(failure, found=""): by_line[line]
        for each in deltas
        for line, failure in each.excused
        if line in stale and line in by_line
    }
    new = {replace(failure, found=""): failure for each in deltas for failure in sorted(each.failures)[::-1]}
    joining = [
        *((_place(failure), _text(failure, old)) for failure, old in narrowed.items()),
        *((_place(key), _text(failure)) for key, failure in new.items() if key not in narrowed),
    ]
    blocks = [file.preamble, *(text for _, text in sorted([*kept, *joining], key=lambda each: each[0]))]
    text = "\n".join(block.strip("\n") + "\n" for block in blocks if block.strip("\n"))
    return Rewriting(text, kept=len(kept), new=len(joining))


def write(path: Path, text: str, line_end: str = "\n") -> None:
    """Write the file whole or not at all, with these line ends.

    Raises
    ------
    ExpectationsError
        When it cannot be written.
    """
    try:
        write_whole(path, text.replace("\n", line_end).encode())
    except OSError as error:
        raise ExpectationsError(f"the expectations file {path} cannot be written ({error.strerror}).") from None


def _key(entry: Entry) -> tuple[str, str, str]:
    said = entry.expectation
    return (said.engine, said.mode, said.check)


def _place(failure: Failure) -> tuple[str, str, str, str]:
    return (glob.escape(failure.case), failure.engine, failure.mode, failure.check)


def _text(failure: Failure, narrowed: Entry | None = None) -> str:
    said = narrowed.expectation if narrowed else None
    values = {
        "case": glob.escape(failure.case),
        "engine": failure.engine,
        "mode": failure.mode,
        "check": failure.check,
        "error": said.error if said else "",
        "torch": said.torch if said else "",
        "reason": said.reason if said else f"known since this file was written: {failure.found}",
    }
    lines = [FORM, *(f"{key} = {_string(value)}" for key, value in values.items() if value)]
    return "\n".join(lines) + "\n"


def _string(value: str) -> str:
    """Return a TOML basic string: JSON's, except that TOML requires DEL to be escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _found(finding: Finding) -> str:
    """Return a finding in a line that is the same in every run: without the actual values, which may vary."""
    if finding.change != "raised":
        return f"{finding.place}: {kind_of(finding)}"
    first: Sequence[str] = finding.actual.strip().splitlines()[:1]
    return shorten(re.sub(r"0x[0-9a-fA-F]+", "0x...", " ".join(first)), _LONGEST, placeholder=" ...")
