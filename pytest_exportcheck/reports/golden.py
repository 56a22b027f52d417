"""The sentences about golden programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_exportcheck.records import Finding
from pytest_exportcheck.records.golden import GoldenChange
from pytest_exportcheck.reports.diff import CHANGED, SIGNS, entry_text
from pytest_exportcheck.reports.lines import count

#: Nodes that are listed.
_MOST = 6
_LONGEST = 160  # characters of a line

UPDATE = "--exportcheck-update-golden"


def missing_text(case: str, command: str) -> str:
    """Return the reason for a case that has no golden program."""
    return f"the case {case!r} has no golden program. Write it: {command}"


def stale_text(folder: str) -> str:
    """Return the reason for a golden program of a case that does not exist."""
    return (
        f"{folder} is stale: no case has this name. Delete the folder, or run {UPDATE}, which deletes it. If the case is of a "
        "source, name the source in exportcheck_sources."
    )


def same_name_text(case: str, first: str, second: str) -> str:
    """Return the reason for a case that shares its name, and with it the folder, with a case of another file."""
    return (
        f"two cases are called {case!r}: the one at {first} has the golden program, the one at {second} has none. Give one of "
        "them another name with export_case(name=...)."
    )


def update_hint(version: str) -> str:
    """Return what to do about a difference that is intended, of the golden program of a version of torch."""
    return f"If the change is intended, accept it: {UPDATE}, or delete the folder {version}."


def node_notes(findings: Sequence[Finding], following: int) -> Iterator[str]:
    """Yield lines about the nodes in which today's capture differs from a stored program."""
    if not findings:
        return
    more = f", and {following} that follow from them" if following else ""
    yield f"today's capture differs from the stored program in {count(len(findings), 'place')}{more}"
    for each in findings[:_MOST]:
        text = f"{SIGNS.get(each.change, CHANGED)[0]} {entry_text(each)}"
        place = f" (at {each.line.partition(' in ')[0]})" if each.line else ""
        yield (text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}...") + place
    if len(findings) > _MOST:
        yield f"and {len(findings) - _MOST} more"


def weights_note(names: Sequence[str]) -> str:
    """Return the note on weights that are no longer those of the stored program."""
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return (
        f"the weights differ from the stored ones ({', '.join(names[:2])}{more}): the stored outputs are not compared with the "
        f"module. {UPDATE} stores today's weights"
    )


def update_lines(changes: Sequence[tuple[GoldenChange, str]]) -> Iterator[str]:
    """Yield what an update did: new, changed and removed golden programs, and the number of unchanged ones."""
    for kind in ("new", "changed", "removed"):
        names = [name for change, name in changes if change == kind]
        if names:
            yield f"exportcheck: golden programs {kind}: {', '.join(names)}"
    same = sum(change == "unchanged" for change, _ in changes)
    if same or not changes:
        yield f"exportcheck: golden programs unchanged: {same}"
