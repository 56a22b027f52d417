"""The comparison of two reports as text: the settings that differ first, then what broke, then the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pytest_exportcheck.modes import Mode, in_order
from pytest_exportcheck.records import Outcome, Status
from pytest_exportcheck.records.comparison import (
    BREAKING,
    CaptureTimes,
    Comparison,
    ItemChange,
    ItemChangeKind,
    LedgerLoss,
)
from pytest_exportcheck.records.results import FieldSurvival
from pytest_exportcheck.reports.compare import ENOUGH_CAPTURES, RATIO, SECONDS
from pytest_exportcheck.reports.failure import body_lines, first_line, summary_line
from pytest_exportcheck.reports.job_summary import not_run_text
from pytest_exportcheck.reports.lines import WIDTH, Line, count, folded, listed, plain, wrapped
from pytest_exportcheck.reports.origin import origin_lines

#: The titles of the kinds of changes, in their order, with the style of the title. An item has one of them.
TITLES: Mapping[ItemChangeKind, tuple[str, str]] = {
    "newly_broken": ("newly broken", "red bold"),
    "known_to_broken": ("a known defect before, now broken", "red bold"),
    "broken_differently": ("broken before too, now in another way", "red"),
    "stale": ("expected to fail, and no longer does: remove the expectation", "yellow"),
    "newly_known": ("newly a known defect (not of the model)", "yellow"),
    "engine_error": ("new internal failures of an engine or the plugin (not of the model)", "yellow"),
    "disagreement": ("new disagreements of two engines", "yellow"),
    "newly_expected": ("now fails as expected", "yellow"),
    "not_judged": ("judged before, and not any more", "yellow"),
    "fixed": ("fixed", "green"),
    "known_gone": ("known defects that are gone", "green"),
    "newly_judged": ("judged now, and not before", "green"),
}
#: Kinds whose entries show a finding of the new report.
_WITH_FINDING = frozenset({*BREAKING, "broken_differently", "engine_error", "disagreement", "newly_expected"})

#: Kinds that say whether an item is judged.
_JUDGED = frozenset({"not_judged", "newly_judged"})
#: Settings without which two verdicts mean different things.
_VERDICTS = frozenset({"profile", "allow", "forbid"})

_FEW = 5  # entries of a list before the rest is counted


def comparison_lines(
    comparison: Comparison, *, old: str, new: str, verbose: bool = False, width: int = WIDTH
) -> Iterator[Line]:
    """Yield the lines of the comparison. ``old`` and ``new`` are the names of the files; ``verbose`` shows every item
    and all of its findings.
    """
    for line in _parts(comparison, old, new, verbose, width):
        yield from folded(line, width)


def _parts(comparison: Comparison, old: str, new: str, verbose: bool, width: int) -> Iterator[Line]:
    yield from _head(comparison, old, new, width)
    for error in comparison.errors:
        yield plain(f"new error {error.nodeid}: {first_line(error.reason)}", "red bold")
    for kind, (title, style) in TITLES.items():
        changes = comparison.of_kind(kind)
        if changes:
            yield plain(f"{title}: {count(len(changes), 'item')}", style)
            yield from _changes(kind, changes, verbose, width)
    yield from _losses(comparison.losses, verbose, width)
    yield from _slower(comparison.captures, verbose, width)
    yield from _only_in_one(comparison, old, new, verbose, width)
    yield from _totals(comparison, width)


def _head(comparison: Comparison, old: str, new: str, width: int) -> Iterator[Line]:
    yield plain(f"{old} (old) and {new} (new)")
    if not comparison.settings:
        yield plain("the settings are the same")
    for change in comparison.settings:
        yield plain(f"{change.name}: {change.old} -> {change.new}", "bold")
    for text in warnings_of(comparison, old, new):
        yield from wrapped(text, width, "red")


def warnings_of(comparison: Comparison, old: str, new: str) -> Iterator[str]:
    """Yield the reasons why the comparison says less than it seems to: other settings, and runs that are not complete."""
    if any(change.name in _VERDICTS for change in comparison.settings):
        yield (
            "the verdicts are not comparable: profile, allow and forbid decide what fails. "
            "Run both with the same settings."
        )
    incomplete = [(old, comparison.old_runs, comparison.old_complete)]
    incomplete += [(new, comparison.new_runs, comparison.new_complete)]
    for name, runs, complete in incomplete:
        for run in runs if not complete else ():
            if run.selected is None or run.not_run:
                why = f" ({run.stopped})" if run.stopped else ""
                yield f"{name} is not complete{why}: {not_run_text(len(run.not_run), run.selected)}"


def unfinished_text(comparison: Comparison, new: str) -> str:
    """Return why nothing newly broken means little; empty if the new report is complete, or if something broke."""
    if comparison.new_complete or comparison.newly_broken:
        return ""
    return f"{new} is not complete: items that did not run may be broken. Run the checks to the end, and compare again."


# --- items ----------------------------------------------------------------------------------


def _changes(kind: ItemChangeKind, changes: Sequence[ItemChange], verbose: bool, width: int) -> Iterator[Line]:
    if verbose:
        for change in changes:
            yield from _whole(kind, change)
    elif kind in ("newly_known", "known_gone"):
        yield from _defects(changes, width)
    else:
        yield from _grouped(kind, changes, width)


def _whole(kind: ItemChangeKind, change: ItemChange) -> Iterator[Line]:
    """Yield one item, with the text that a failure has."""
    defects = f": {', '.join(change.defects)}" if change.defects else ""
    yield plain(f"  {change.new.nodeid} ({change.old.status} -> {change.new.status}){defects}")
    if kind in ("broken_differently", "fixed"):
        yield plain(f"    before: {summary_line(change.old)}")
    if kind in _WITH_FINDING or kind == "stale":
        yield from (plain(f"    {line}") for line in body_lines(change.new))
    elif kind == "not_judged":
        yield plain(f"    {first_line(change.new.reason)}")


def _defects(changes: Sequence[ItemChange], width: int) -> Iterator[Line]:
    """Yield the items of each known defect in a line."""
    titles = {
        each.known_as: each.known.title
        for change in changes
        for each in (*change.old.findings, *change.new.findings)
        if each.known
    }
    for defect in dict.fromkeys(name for change in changes for name in change.defects):
        items = [change.new for change in _by_mode(changes) if defect in change.defects]
        yield from wrapped(f"  {defect} ({count(len(items), 'item')}): {titles[defect]}", width, indent="    ")
        yield from _names([f"{each.case}[{each.engine}-{each.mode}]" for each in items], width, "    ")


def _grouped(kind: ItemChangeKind, changes: Sequence[ItemChange], width: int) -> Iterator[Line]:
    """Yield a case with the modes that have the same change, and the first finding."""
    groups: dict[tuple[object, ...], list[ItemChange]] = {}
    for change in changes:
        same = (_sameness(change.old), _sameness(change.new))
        groups.setdefault((change.new.path, change.new.case, *same), []).append(change)
    for group in map(_by_mode, groups.values()):
        first = group[0]
        status = f"{first.old.status} -> {first.new.status}" if kind in _JUDGED else f"was {first.old.status}"
        modes = [f"{each.new.engine}-{each.new.mode}" for each in group]
        yield from _case(f"  {first.new.path}::{first.new.case} ({status}): ", modes, width)
        for label, text in _shown(kind, first):
            yield from wrapped(f"    {label}{text}", width, indent="      ")
        if kind in _WITH_FINDING:
            yield from _where(first.new)


def _by_mode(changes: Sequence[ItemChange]) -> list[ItemChange]:
    """Return the changes in the order of their modes, an engine after the other."""
    places = {mode: place for place, mode in enumerate(in_order(Mode.parse(each.new.mode) for each in changes))}
    return sorted(changes, key=lambda each: (each.new.engine, places[Mode.parse(each.new.mode)]))


def _case(head: str, modes: Sequence[str], width: int) -> Iterator[Line]:
    """Yield a case with its modes: below it, if the first one does not fit next to it."""
    fits = len(head) + len(modes[0]) < width
    if not fits:
        yield plain(head)
    yield from listed(head if fits else "      ", [(mode, "") for mode in modes], width, indent="      ")


def _sameness(item: Outcome) -> object:
    """Return what two items of a case have in common if one entry is enough for both: all but the places."""
    if item.status is Status.BLOCKED:
        return item.status
    failing = item.failing_findings
    return (item.status, (failing[0].sort, failing[0].expected, failing[0].actual) if failing else item.reason)


def _shown(kind: ItemChangeKind, change: ItemChange) -> Iterator[tuple[str, str]]:
    """Yield what is shown of an item, with labels: the first finding, and the one that it had before."""
    if kind in ("fixed", "broken_differently"):
        yield "before: ", summary_line(change.old)
    if kind == "broken_differently":
        yield "now:    ", summary_line(change.new)
    elif kind in _WITH_FINDING:
        yield "", summary_line(change.new)
    elif kind == "stale" or (kind == "not_judged" and change.new.status is not Status.BLOCKED):
        yield "", first_line(change.new.reason)


def _where(item: Outcome) -> Iterator[Line]:
    """Yield the origin of the first finding that has one, without its table, or else its line of user code."""
    failing = item.failing_findings
    origin = next((each.origin for each in failing if each.origin), None)
    if origin is not None:
        yield from (line for line in origin_lines(origin) if not _is_row(line))
    elif failing and failing[0].line:
        yield Line((("    at ", ""), (failing[0].line, "bold")))


def _is_row(line: Line) -> bool:
    """Return True for a row of the table of nodes; the other lines have labels."""
    return ":" not in line.text.split("  ")[3][:8] if line.text.startswith("      ") else False


def _names(names: Sequence[str], width: int, indent: str, verbose: bool = False) -> Iterator[Line]:
    shown = [(name, "") for name in (names if verbose else names[:_FEW])]
    if len(names) > len(shown):
        shown.append((f"{len(names) - len(shown)} more (-v lists them)", ""))
    yield from listed(indent, shown, width, indent=indent)


# --- the ledger, times, and items of one report ---------------------------------------------


def _losses(losses: Sequence[LedgerLoss], verbose: bool, width: int) -> Iterator[Line]:
    promised = [each for each in losses if each.promised]
    shown = losses if verbose else promised
    if losses:
        yield plain("preservation ledger: fields lost in more places than before (kept of all)", "yellow")
    for each in shown:
        note = "" if each.promised else " (outside the contract)"
        parts = [(f"{_kept(each.old)} -> {_kept(each.new)}{note}", "")]
        yield from listed(f"  {each.engine} {each.edge}: {each.field} ", parts, width, indent="    ")
    hidden = len(losses) - len(shown)
    if hidden:
        yield plain(f"  {count(hidden, 'field')} outside the contract (-v lists them)")


def _kept(line: FieldSurvival) -> str:
    return f"{line.kept} of {line.before}" if line.before else "nowhere"


def _slower(captures: CaptureTimes, verbose: bool, width: int) -> Iterator[Line]:
    if captures.slower:
        yield from wrapped(f"slower captures ({rule_of(captures)}):", width, "yellow")
    for each in captures.slower:
        times = f"{each.old:.1f} s -> {each.new:.1f} s ({each.new / each.old:.1f} times)"
        yield from wrapped(f"  {each.path}::{each.case}[{each.stage}] {times}", width, indent="    ")
    if captures.number and (verbose or (captures.number >= ENOUGH_CAPTURES and captures.median >= RATIO)):
        text = f"captures take {captures.median:.2f} times as long as before (the median of {captures.number})"
        yield from wrapped(text, width)


def rule_of(captures: CaptureTimes) -> str:
    """Return the rule by which a capture is slower."""
    text = f"{RATIO:g} times as long and {SECONDS:g} s longer"
    if captures.number < ENOUGH_CAPTURES:
        return text
    return f"{text}, apart from the ratio of all captures, {captures.median:.2f}"


def _only_in_one(comparison: Comparison, old: str, new: str, verbose: bool, width: int) -> Iterator[Line]:
    for title, items in only_in_one(comparison, old, new):
        failing = sum(each.status.fails for each in items)
        which = f", of which {failing} {'fails' if failing == 1 else 'fail'}" if failing else ""
        yield plain(f"{title}: {count(len(items), 'item')}{which}", "yellow")
        yield from _names([f"{each.nodeid} ({each.status})" for each in items], width, "  ", verbose)


def only_in_one(comparison: Comparison, old: str, new: str) -> Iterator[tuple[str, Sequence[Outcome]]]:
    """Yield the lists of items that only one report has, each with its title; items that fail come first."""
    not_run = set(comparison.not_run)
    lists = [
        (f"not run in {new}, which is not complete", [each for each in comparison.missing if each.nodeid in not_run]),
        (f"only in {old}", [each for each in comparison.missing if each.nodeid not in not_run]),
        (f"only in {new}", list(comparison.added)),
    ]
    for title, items in lists:
        if items:
            yield title, sorted(items, key=lambda item: not item.status.fails)


def _totals(comparison: Comparison, width: int) -> Iterator[Line]:
    """Yield the end: how many items were compared, and the number of each kind of change."""
    head = f"exportcheck: {count(comparison.compared, 'item')} compared: "
    yield from listed(head, totals_of(comparison) or [("the results are the same", "green")], width)


def totals_of(comparison: Comparison) -> list[tuple[str, str]]:
    """Return the number of each kind of change as text, with its style."""
    parts = [
        (f"{len(changes)} {SHORT[kind]}", TITLES[kind][1]) for kind in TITLES if (changes := comparison.of_kind(kind))
    ]
    errors = [(count(len(comparison.errors), "new error"), "red bold")] if comparison.errors else []
    return [*errors, *parts]


SHORT: Mapping[ItemChangeKind, str] = {
    "newly_broken": "newly broken",
    "known_to_broken": "known before and now broken",
    "broken_differently": "broken in another way",
    "stale": "no longer fail as expected",
    "newly_known": "newly known",
    "engine_error": "new engine errors",
    "disagreement": "new disagreements",
    "newly_expected": "now expected",
    "not_judged": "no longer judged",
    "fixed": "fixed",
    "known_gone": "no longer known",
    "newly_judged": "newly judged",
}
