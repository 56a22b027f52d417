"""Findings about golden programs: interfaces that differ, and the nodes that today's capture has instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pytest_exportcheck.difference.compare import difference
from pytest_exportcheck.difference.files import ProgramFile
from pytest_exportcheck.records import Change, Finding, Raised
from pytest_exportcheck.records.file_difference import FileDifference
from pytest_exportcheck.records.golden import Interface

_GOLDEN = Finding.of("golden")

#: Checks of ``exportcheck diff`` whose differences are notes: two versions of torch may write one computation in
#: different ways.
_OF_NODES = ("nodes", "constants")


def unreadable(place: str, text: str) -> Finding:
    """Return the finding for a golden program that cannot be used."""
    return _GOLDEN.at(place, "missing", "", "a golden program that can be judged", text)


def refused_by(reader: str, place: str, raised: Raised) -> Finding:
    """Return the finding for a file that a reader does not load."""
    return _GOLDEN.at(place, "raised", "", f"a program that {reader} loads", raised, raised.detail, error=raised)


def accepted(place: str, call: str) -> Finding:
    """Return the finding for sizes that must be refused and are not."""
    return Finding.of("rejects").at(place, "accepted", "", f"refused: {call}", "no error")


def interface_findings(place: str, stored: Interface, found: Interface, *, guards: bool = True) -> Iterator[Finding]:
    """Yield what differs between the interface that a golden program was written with and another one."""
    for kind in ("inputs", "outputs"):
        before, after = getattr(stored, kind), getattr(found, kind)
        if before != after:
            gone, new = _only_in(before, after), _only_in(after, before)
            texts = ("; ".join(gone or before), "; ".join(new or after))
            yield _GOLDEN.at(f"{place}: {kind}", "changed" if gone or new else "reordered", "signature", *texts)
    for name in dict.fromkeys((*stored.ranges, *found.ranges)):
        old, new_range = stored.ranges.get(name, "no such range"), found.ranges.get(name, "no such range")
        if old != new_range:
            yield _GOLDEN.at(f"{place}: {name}", "changed", "range", old, new_range)
    if guards:
        lists: Sequence[tuple[Change, Sequence[str]]] = (
            ("dropped", _only_in(stored.guards, found.guards)),
            ("added", _only_in(found.guards, stored.guards)),
        )
        for change, texts_of in lists:
            for guard in texts_of:
                sides = (guard, "no such guard") if change == "dropped" else ("no such guard", guard)
                yield _GOLDEN.at(f"{place}: {guard}", change, "guard", *sides)


def guard_findings(place: str, stored: Mapping[str, bool], found: Mapping[str, bool]) -> Iterator[Finding]:
    """Yield the sizes that the guards of one program accept and those of the other refuse. Two versions of torch may
    write the same guards in different ways.
    """
    say = {True: "accepted by the guards", False: "refused by the guards"}
    for setting in stored.keys() & found.keys():
        if stored[setting] != found[setting]:
            yield _GOLDEN.at(f"{place}: {setting}", "changed", "guard", say[stored[setting]], say[found[setting]])


def nodes_that_differ(stored: ProgramFile, today: ProgramFile) -> FileDifference:
    """Compare today's capture with the stored program, as ``exportcheck diff`` does."""
    return difference(stored, today)


def of_nodes(found: FileDifference) -> list[Finding]:
    """Return the differences of nodes and constants, in the order of the program."""
    return [each for each in found.findings if each.check in _OF_NODES]


def weights_that_differ(found: FileDifference) -> list[str]:
    """Return the names of the parameters and buffers whose values differ."""
    return [each.place for each in found.findings if each.check == "state" and each.sort[1:] == ("changed", "value")]


def _only_in(some: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    return tuple(each for each in some if each not in others)
