"""The preservation ledger as text: the fields that a stage did not keep everywhere, in how many places it did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pytest_exportcheck.records import FieldSurvival
from pytest_exportcheck.reports.lines import WIDTH, Line, count, listed, wrapped

Ledgers = Mapping[str, Sequence[FieldSurvival]]
"""Stage -> the ledger of every item that ended in it, one after the other."""

_Totals = Mapping[str, Mapping[str, FieldSurvival]]  # stage -> field


def ledger_lines(engine: str, ledgers: Ledgers, *, verbose: bool = False, width: int = WIDTH) -> Iterator[Line]:
    """Yield a line for each field that a stage did not keep everywhere, and the number of the others. Fields outside the
    contract, and the names of what was kept, are shown by ``verbose`` only.
    """
    totals = {stage: _totals(ledger) for stage, ledger in ledgers.items() if ledger}
    if not totals:
        return
    fields = sorted({field for stage in totals.values() for field in stage})
    promised = [field for field in fields if any(each.promised for each in _over(field, totals).values())]
    outside = [field for field in fields if field not in promised]
    yield from wrapped(f"preservation ledger of {engine}: fields that a stage did not keep everywhere", width)
    yield from _losses(promised, totals, width)
    if verbose:
        yield from _losses(outside, totals, width, note=" (outside the contract)")
        kept = [field for field in fields if not _lost(field, totals)]
        yield from wrapped(f"  kept in every place: {', '.join(kept) or 'no field'}", width, indent="    ")
    else:
        yield from wrapped(f"  {_rest(promised, outside, totals)} (-v lists them)", width, indent="    ")


def _rest(promised: Sequence[str], outside: Sequence[str], totals: _Totals) -> str:
    kept = sum(not _lost(field, totals) for field in promised)
    text = f"{count(kept, 'field')} kept in every place"
    return f"{text}; {count(len(outside), 'field')} outside the contract" if outside else text


def _losses(fields: Sequence[str], totals: _Totals, width: int, note: str = "") -> Iterator[Line]:
    losing = [field for field in fields if _lost(field, totals)]
    longest = max(map(len, losing), default=0)
    for field in losing:
        stages = [(f"{stage} {_kept(line)}", "") for stage, line in _lost(field, totals).items()]
        stages[-1] = (stages[-1][0] + note, "")
        yield from listed(f"  {field:<{longest}}  ", stages, width, separator="; ", indent="    ")


def _kept(line: FieldSurvival) -> str:
    new = f", {line.gained} new" if line.gained else ""
    return f"kept {line.kept} of {line.before}{new}"


def _over(field: str, totals: _Totals) -> Mapping[str, FieldSurvival]:
    """Return the survival of a field by stage."""
    return {stage: lines[field] for stage, lines in totals.items() if field in lines}


def _lost(field: str, totals: _Totals) -> Mapping[str, FieldSurvival]:
    """Return the survival of a field by stage, for the stages that did not keep the field everywhere."""
    return {stage: line for stage, line in _over(field, totals).items() if line.kept != line.before}


def _totals(ledger: Sequence[FieldSurvival]) -> dict[str, FieldSurvival]:
    totals: dict[str, FieldSurvival] = {}
    for line in ledger:
        totals[line.field] = totals[line.field] + line if line.field in totals else line
    return totals
