"""The terminal summary. The matrix and the counts come last, next to pytest's own summary, because they are read
first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from pytest_exportcheck.modes import AGREE, FUZZ, GOLDEN, Mode, parse_stage_name, stage_name
from pytest_exportcheck.records import FieldSurvival, Finding, KnownAs, Outcome, Status
from pytest_exportcheck.reports.ledger import ledger_lines
from pytest_exportcheck.reports.lines import WIDTH, Line, count, listed, plain, wrapped
from pytest_exportcheck.reports.matrix import matrix_lines
from pytest_exportcheck.reports.wording import calls_of, culprit_text, kind_of, values_text

_SLOWEST = 3


def summary(rows: Sequence[Outcome], *, verbose: bool, width: int = WIDTH, fuzz_time: str = "") -> Iterator[Line]:
    """Yield the lines of the summary. ``fuzz_time``: the time for fuzzing, if one was set."""
    yield from _slowest(rows, width)
    if fuzz_time:
        yield from _examples(rows, fuzz_time, verbose, width)
    yield from _ledger(rows, verbose, width)
    yield from _notes(rows, width)
    yield from _facts(rows, width) if verbose else ()
    yield from _known(rows, width)
    yield from _engine_errors(rows, width)
    yield from _disagreements(rows, width)
    yield from _second_opinions(rows, width)
    yield from matrix_lines(rows, verbose=verbose, width=width)
    yield from counts_lines(rows, width)


def _known(rows: Sequence[Outcome], width: int) -> Iterator[Line]:
    defects = defects_of(rows)
    if defects:
        yield plain("known defects (details: exportcheck explain ID)")
    for defect, number in defects.items():
        yield from wrapped(f"  {defect.id} ({count(number, 'item')}): {defect.title}", width, "yellow", "    ")
        if defect.issue:
            yield plain(f"    {defect.issue}")


def defects_of(rows: Sequence[Outcome]) -> Mapping[KnownAs, int]:
    """Return the known defects that explain findings, each with the number of items that have it."""
    counts: Counter[KnownAs] = Counter()
    for row in rows:
        counts.update({each.known: 1 for each in row.findings if each.known and each.verdict == "known"})
    return counts


def _engine_errors(rows: Sequence[Outcome], width: int) -> Iterator[Line]:
    """Yield findings for which an engine or the plugin is at fault, one line for each difference or error."""
    found: dict[tuple[str, str], list[Outcome]] = {}
    for row in rows:
        for finding in row.findings:
            if finding.verdict == "engine_error":
                found.setdefault((finding.fault_of or row.engine, _in_a_line(finding)), []).append(row)
    for (engine, text), where in found.items():
        place = f"{where[0].case}[{where[0].engine}-{where[0].mode}]"
        more = f" and {count(len(where) - 1, 'more item')}" if len(where) > 1 else ""
        yield from wrapped(f"engine error in {engine}: {place}{more}: {text}", width, "yellow")
    if found:
        yield from wrapped(
            "  an engine error is not a fault of your model; please report it, with the case, to the authors of the code that it names",
            width,
        )


def _disagreements(rows: Sequence[Outcome], width: int) -> Iterator[Line]:
    """Yield each difference between two engines once for each case, with the likely culprit."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        for finding in row.findings if row.engine == AGREE else ():
            if finding.verdict in ("disagreement", "broken") and finding.between:
                on = f" (on {calls_of(finding)[0]})" if finding.on else ""
                values = values_text(finding, _first_line(finding.expected), _first_line(finding.actual))
                text = f"{finding.check}: {finding.place}: {kind_of(finding)}{on}: {values}; {culprit_text(finding)}"
                found.setdefault((" and ".join(finding.between), row.case, text), []).append(row.mode)
    for (engines, case, text), modes in found.items():
        line = " ".join(f"{engines} disagree on {case} ({', '.join(modes)}): {text}".split())
        yield from wrapped(line, width, "yellow")


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


def _in_a_line(finding: Finding) -> str:
    text = finding.actual.partition("\n")[0]
    if finding.change != "raised":
        text = (
            f"{finding.check}: {finding.place}: {kind_of(finding)} (expected {finding.expected}, got {finding.actual})"
        )
    return " ".join(text.split())


def _second_opinions(rows: Sequence[Outcome], width: int) -> Iterator[Line]:
    """Yield, for each case that fails with one engine, the results of the others in the same modes."""
    words = {Status.PASSED: "passes", Status.KNOWN: "passes", Status.FAILED: "fails"}
    verdicts = {(row.path, row.case, row.mode, row.engine): row.status for row in rows}
    engines = dict.fromkeys(row.engine for row in rows if row.engine != AGREE)
    told: dict[tuple[str, str, str, str], dict[str, list[str]]] = {}
    for row in rows:
        for other in engines if row.status is Status.FAILED and row.engine != AGREE else ():
            status = verdicts.get((row.path, row.case, row.mode, other))
            word = words.get(status) if status else None
            told_already = (row.path, row.case, other, row.engine) in told and word == "fails"
            if other != row.engine and word and not told_already:
                told.setdefault((row.path, row.case, row.engine, other), {}).setdefault(word, []).append(row.mode)
    for (_, case, engine, other), modes_by_word in told.items():
        verdict = ", ".join(f"{word} in {' '.join(modes)}" for word, modes in modes_by_word.items())
        yield from wrapped(f"second opinion on {case}, which fails with {engine}: {other} {verdict}", width)


def _notes(rows: Sequence[Outcome], width: int) -> Iterator[Line]:
    notes = dict.fromkeys((row.case, note) for row in rows for note in row.notes)
    for case, note in notes:
        yield from wrapped(f"note: {case}: {note}", width)


def _facts(rows: Sequence[Outcome], width: int) -> Iterator[Line]:
    """Yield the facts about packages of runtimes."""
    for row in rows:
        if row.facts and row.engine != GOLDEN:
            said = ", ".join(f"{name} {value}" for name, value in row.facts.items())
            yield from wrapped(f"package: {row.case}[{stage_name(row.engine, Mode.parse(row.mode))}]: {said}", width)


def _ledger(rows: Sequence[Outcome], verbose: bool, width: int) -> Iterator[Line]:
    """Yield one list for each engine."""
    for engine in dict.fromkeys(row.engine for row in rows):
        ledgers: dict[str, list[FieldSurvival]] = {}
        for row in rows:
            if row.engine == engine:
                ledgers.setdefault(Mode.parse(row.mode).last, []).extend(row.ledger)
        yield from ledger_lines(engine, ledgers, verbose=verbose, width=width)


def _slowest(rows: Sequence[Outcome], width: int) -> Iterator[Line]:
    """Yield the captures (a stage without an edge) that took longest."""
    captures = [
        (seconds, row.case, stage)
        for row in rows
        for stage, seconds in row.seconds.items()
        if parse_stage_name(stage)[1].depth == 1
    ]
    slowest = sorted(captures, reverse=True)[:_SLOWEST]
    if slowest:
        parts = [(f"{case}[{stage}] {seconds:.1f}s", "") for seconds, case, stage in slowest]
        yield from listed("slowest captures: ", parts, width)


#: Number of lines of the list of examples without -v.
_EXAMPLE_LINES = 20


def _examples(rows: Sequence[Outcome], time: str, verbose: bool, width: int) -> Iterator[Line]:
    """Yield the number of examples of each fuzz item, a line for each case and engine."""
    tried: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        if Mode.parse(row.mode).is_fuzz and row.engine != AGREE:
            name = row.mode.removesuffix(f"-{FUZZ}")
            tried.setdefault((row.path, row.case, row.engine), []).append(f"{name} {row.examples}")
    if not tried:
        return
    yield plain(f"examples tried by fuzzing, with {time} for the run:")
    shown = len(tried) if verbose else _EXAMPLE_LINES
    for (_, case, engine), numbers in [*tried.items()][:shown]:
        yield from wrapped(f"  {case}[{engine}]: {', '.join(numbers)}", width, "", "    ")
    if len(tried) > shown:
        yield plain(f"  and {count(len(tried) - shown, 'more line')} (-v shows them)")


def counts_lines(rows: Sequence[Outcome], width: int) -> Iterator[Line]:
    """Yield the end of the summary: how many items have each status."""
    counts = Counter(row.status for row in rows)
    cases = len({(row.path, row.case) for row in rows})
    total = f"exportcheck: {count(cases, 'case')}, {count(len(rows), 'item')}: "
    parts = [(f"{counts[status]} {status}", status.colour) for status in Status if counts[status]]
    yield from listed(total, parts, width)
