"""The preservation ledger as text: which fields survive which edge, in how many places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pytest_exportcheck.records import FieldSurvival

Ledgers = Mapping[str, Sequence[FieldSurvival]]
"""Stage -> the ledger of every item that ended in it, one behind the other."""


def ledger_lines(engine: str, ledgers: Ledgers, *, verbose: bool = False) -> Iterator[str]:
    """Yield a table of the fields that did not survive everywhere, and the names of those that did. Fields that no
    table promises are listed with ``verbose`` only; without it they are counted.
    """
    totals = {stage: _totals(ledger) for stage, ledger in ledgers.items() if ledger}
    fields = sorted({field for stage in totals.values() for field in stage})
    losing = [field for field in fields if any(not _whole(stage[field]) for stage in totals.values() if field in stage)]
    if not totals:
        return
    yield f"preserved by {engine} (places after / before each edge; +n: new)"
    promised = [field for field in fields if any(stage[field].promised for stage in totals.values() if field in stage)]
    shown = [field for field in losing if verbose or field in promised]
    if shown:
        yield from _table(shown, totals)
    if len(shown) < len(losing):
        yield f"  and {len(losing) - len(shown)} more that nothing promises (-v shows them)"
    whole = [field for field in fields if field not in losing and (verbose or field in promised)]
    if whole:
        yield f"  everywhere: {', '.join(whole)}"


def _totals(ledger: Sequence[FieldSurvival]) -> dict[str, FieldSurvival]:
    totals: dict[str, FieldSurvival] = {}
    for line in ledger:
        totals[line.field] = totals[line.field] + line if line.field in totals else line
    return totals


def _whole(line: FieldSurvival) -> bool:
    return line.kept == line.before


def _table(fields: Sequence[str], totals: Mapping[str, Mapping[str, FieldSurvival]]) -> Iterator[str]:
    cells = {
        stage: [stage, *(_cell(lines[field]) if field in lines else "" for field in fields)]
        for stage, lines in totals.items()
    }
    cells = {stage: column for stage, column in cells.items() if any(column[1:])}
    widths = {stage: max(map(len, column)) for stage, column in cells.items()}
    first = max(map(len, fields))
    for row, name in enumerate(["", *fields]):
        columns = "  ".join(f"{column[row]:>{widths[stage]}}" for stage, column in cells.items())
        yield f"  {name:<{first}}  {columns}".rstrip()


def _cell(line: FieldSurvival) -> str:
    """Return ``12/14``: twelve of fourteen places have the field unchanged."""
    parts = [f"{line.kept}/{line.before}"] if line.before else []
    return " ".join([*parts, *([f"+{line.gained}"] if line.gained else [])])
