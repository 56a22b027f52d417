"""Runs a case with and without a fault, and says who noticed."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache

from pytest_exportcheck.modes import Mode
from pytest_exportcheck.records import Finding, Outcome
from pytest_exportcheck.reports.wording import kind_of
from pytest_exportcheck.run.runner import Runner
from tests.faults.engine import faulty_engine
from tests.faults.fault import Fault, Inject
from tests.faults.models import MODELS


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What became of a fault: the checks that noticed it, and whether the one that owns it did."""

    fault: Fault
    outcome: Outcome
    noticed_by: tuple[str, ...]
    found: bool


def run_sound(model: str, where: str) -> Outcome:
    """The outcome of a mode without a fault."""
    return _sound(model, where)


def run_with(fault: Fault) -> Trial:
    """The outcome of the fault's mode, as compared with that of the same mode without it."""
    sound, outcome = _sound(fault.model, fault.where), _outcome(fault.model, fault.where, fault.inject)
    known = {finding.identity for finding in sound.findings}
    new = [each for each in outcome.findings if each.verdict == "broken" and each.identity not in known]
    ledgers = _lost(sound), _lost(outcome)
    fields = [field for field, count in ledgers[1].items() if count > ledgers[0].get(field, 0)]
    return Trial(
        fault=fault,
        outcome=outcome,
        noticed_by=tuple(dict.fromkeys(each.check for each in new)),
        found=fault.ledger in fields if fault.ledger else any(_is_owners(fault, each) for each in new),
    )


def _is_owners(fault: Fault, finding: Finding) -> bool:
    named = not fault.field or any(fnmatchcase(name, fault.field) for name in (finding.field, kind_of(finding)))
    return finding.check == fault.owner and named


def _lost(outcome: Outcome) -> dict[str, int]:
    return {line.field: line.changed + line.dropped + line.gained for line in outcome.ledger}


@cache
def _sound(model: str, where: str) -> Outcome:
    return _outcome(model, where, lambda program: None)


def _outcome(model: str, where: str, inject: Inject) -> Outcome:
    mode = Mode.parse(where)
    engine = faulty_engine(len(mode.stages), inject)
    runner = Runner({engine.name: engine}, profile="ship", threads=1)
    runner.select([(MODELS[model], engine.name, mode)])
    return runner.run(MODELS[model], engine.name, mode)
