"""The difference of two saved programs as text: versions, then inputs and outputs, nodes, weights, ranges, metadata."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_exportcheck.records import Finding
from pytest_exportcheck.records.file_difference import FileDifference, SavedProgram
from pytest_exportcheck.reports.lines import WIDTH, Line, count, folded, plain, wrapped
from pytest_exportcheck.reports.wording import detail_of, kind_of

_MOST = 20  # entries of a group without -v
_LONGEST = 160  # characters of a value without -v


@dataclass(frozen=True)
class Group:
    """A group of differences: its title, and the checks that find them."""

    title: str
    checks: tuple[str, ...]


GROUPS = (
    Group("inputs and outputs", ("call_spec", "signature")),
    Group("nodes", ("nodes", "val")),
    Group("weights and constants", ("state", "constants")),
    Group("ranges and guards", ("constraints",)),
    Group("metadata", ("metadata", "module_calls", "examples")),
    Group("dialect", ("verifiers",)),
)

#: Signs that precede an entry, with their styles.
SIGNS: Mapping[str, tuple[str, str]] = {"dropped": ("-", "red"), "added": ("+", "green")}
CHANGED = ("~", "yellow")


def difference_lines(difference: FileDifference, *, verbose: bool = False, width: int = WIDTH) -> Iterator[Line]:
    """Yield the lines of the difference. ``verbose`` shows everything, and values whole."""
    for line in _parts(difference, verbose, width):
        yield from folded(line, width)


def _parts(difference: FileDifference, verbose: bool, width: int) -> Iterator[Line]:
    for sign, saved in (("-", difference.old), ("+", difference.new)):
        yield plain(f"{sign} {saved_text(saved)}")
        for note in saved.notes:
            yield from wrapped(f"  note: {note}", width, "yellow", "    ")
    for text in version_changes(difference):
        yield plain(text, "bold")
    for group in GROUPS:
        found = [each for each in difference.findings if each.check in group.checks]
        following = [each for each in difference.following if each.check in group.checks]
        if found or following:
            yield from _group(group, found, following, verbose)
    yield from _not_counted(difference, verbose)
    yield from wrapped(f"exportcheck: {verdict_text(difference)}", width, "red" if difference.findings else "green")


def saved_text(saved: SavedProgram) -> str:
    """Return a program in a line: its file, and who wrote it."""
    name = "" if saved.program == "model" else f" (program {saved.program})"
    return f"{saved.file}{name}: torch {saved.torch}, schema {saved.schema}, {count(saved.nodes, 'node')}"


def version_changes(difference: FileDifference) -> Iterator[str]:
    """Yield the versions that differ."""
    old, new = difference.old, difference.new
    opsets = dict.fromkeys((*old.opsets, *new.opsets))
    pairs = [("torch", old.torch, new.torch), ("schema", old.schema, new.schema)]
    pairs += [(f"opset {name}", str(old.opsets.get(name)), str(new.opsets.get(name))) for name in opsets]
    yield from (f"{name}: {one} -> {other}" for name, one, other in pairs if one != other)


def verdict_text(difference: FileDifference) -> str:
    """Return the verdict in a sentence."""
    left_out = len(difference.not_counted)
    rest = f"{count(left_out, 'difference')} that {'does' if left_out == 1 else 'do'} not count" if left_out else ""
    if not difference.findings:
        return f"the programs are equal, apart from {rest}" if rest else "the programs are equal"
    text = f"the programs differ: {count(len(difference.findings), 'difference')}"
    return f"{text}, and {rest}" if rest else text


# --- groups ---------------------------------------------------------------------------------


def _group(group: Group, found: Sequence[Finding], following: Sequence[Finding], verbose: bool) -> Iterator[Line]:
    yield plain(f"{group.title}: {counts_text(found)}" if found else group.title, "bold")
    shown = found if verbose else found[:_MOST]
    for line, findings in by_line(shown):
        if line:
            yield plain(f"  at {line}")
        for finding in findings:
            yield from _entry(finding, "    " if line else "  ", verbose)
    if len(found) > len(shown):
        yield plain(f"  and {len(found) - len(shown)} more (-v lists them)")
    if following and verbose:
        yield plain(f"  {following_text(following)}")
        yield from (line for each in following for line in _entry(each, "    ", verbose))
    elif following:
        yield plain(f"  {'and ' if found else ''}{following_text(following)} (-v lists them)")


def following_text(following: Sequence[Finding]) -> str:
    """Return how many differences follow from others."""
    return f"{len(following)} that {'follows' if len(following) == 1 else 'follow'} from other differences"


def counts_text(found: Sequence[Finding]) -> str:
    """Return how many differences of each kind there are."""
    words = Counter({"dropped": "removed", "added": "added"}.get(each.change, "changed") for each in found)
    return ", ".join(f"{words[word]} {word}" for word in ("removed", "added", "changed") if words[word])


def by_line(findings: Sequence[Finding]) -> list[tuple[str, list[Finding]]]:
    """Return the findings by the line of user code that they are about, in the order of the first of each line."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(line_text(finding.line), []).append(finding)
    return list(groups.items())


_INSTALLED = re.compile(r"^.*/(?:site|dist)-packages/")


def line_text(line: str) -> str:
    """Return a line of code with a shorter path: from the current folder, or from where packages are installed."""
    return _INSTALLED.sub("", line.removeprefix(f"{Path.cwd()}/"))


def _entry(finding: Finding, indent: str, verbose: bool) -> Iterator[Line]:
    sign, style = SIGNS.get(finding.change, CHANGED)
    yield Line(((f"{indent}{sign} ", style), (_cut(entry_text(finding), verbose), "")))
    detail = detail_of(finding) if finding.check in ("state", "constants") or verbose else ""
    yield from (plain(f"{indent}    {line}") for line in detail.splitlines())


def entry_text(finding: Finding) -> str:
    """Return a difference in a line: a place, then what was removed or added, or both values."""
    expected, actual = (" ".join(text.split()) for text in (finding.expected, finding.actual))
    place, kind = finding.place, kind_of(finding)
    if finding.key == "guard" and finding.change in SIGNS:
        return f"guard {place}"
    if finding.change in SIGNS:
        value = expected if finding.change == "dropped" else actual
        what = kind if finding.check in ("metadata", "val") else finding.key.replace("_", " ")
        return f"{place}: {what}: {value}" if what else f"{place}: {value}"
    if finding.check == "nodes" and finding.key in ("args", "kwargs"):
        argument, _, before = expected.partition(": ")
        return f"{place}: {argument}: {before} -> {actual.partition(': ')[2]}"
    return f"{place}: {kind}: {expected} -> {actual}" if kind != place else f"{place}: {expected} -> {actual}"


def _cut(text: str, verbose: bool) -> str:
    return text if verbose or len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


# --- what does not count --------------------------------------------------------------------


def _not_counted(difference: FileDifference, verbose: bool) -> Iterator[Line]:
    found = difference.not_counted
    if not found:
        return
    hint = "" if difference.metadata else " (--metadata counts names and metadata)"
    yield plain(f"not counted{hint}", "bold")
    for name, number in not_counted_counts(found):
        yield plain(f"  {name}: {number}")
    if verbose:
        for line, findings in by_line(found):
            yield plain(f"  at {line or 'no line of user code'}")
            for finding in findings:
                yield from _entry(finding, "    ", verbose)
    else:
        yield plain("  (-v lists them)")


def not_counted_counts(findings: Sequence[Finding]) -> list[tuple[str, int]]:
    """Return the differences that do not count by their field and what happened to it: ``stack_trace changed``."""
    return list(Counter(f"{each.check}: {kind_of(each)}" for each in findings).items())
