"""Runs a case with and without a fault, and says who noticed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache

from torch.export import ExportedProgram
from torch.fx import GraphModule, Node

from pytest_exportcheck.modes import Mode
from pytest_exportcheck.records import Finding, Outcome
from pytest_exportcheck.reports.wording import kind_of
from pytest_exportcheck.run.runner import Runner
from tests.faults.engine import faulty_engine
from tests.faults.fault import Fault, Inject
from tests.faults.models import MODELS


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What became of a fault: the checks that noticed it, and whether the one that owns it did. ``edited`` are the
    nodes that it changed, ``users`` those that use them, and ``given`` those that they use.
    """

    fault: Fault
    outcome: Outcome
    noticed_by: tuple[str, ...]
    found: bool
    edited: frozenset[str]
    users: frozenset[str]
    given: frozenset[str]


def run_sound(model: str, where: str) -> Outcome:
    """The outcome of a mode without a fault."""
    return _sound(model, where)


def run_with(fault: Fault) -> Trial:
    """The outcome of the fault's mode, as compared with that of the same mode without it."""
    edits = Edits(fault.inject)
    sound, outcome = _sound(fault.model, fault.where), _outcome(fault.model, fault.where, edits)
    known = {finding.identity for finding in sound.findings}
    new = [each for each in outcome.findings if each.verdict == "broken" and each.identity not in known]
    ledgers = _lost(sound), _lost(outcome)
    fields = [field for field, count in ledgers[1].items() if count > ledgers[0].get(field, 0)]
    return Trial(
        fault=fault,
        outcome=outcome,
        noticed_by=tuple(dict.fromkeys(each.check for each in new)),
        found=fault.ledger in fields if fault.ledger else any(_is_owners(fault, each) for each in new),
        edited=frozenset(edits.edited),
        users=frozenset(edits.users),
        given=frozenset(edits.given),
    )


class Edits:
    """An injection that notes which nodes it adds, or changes where it adds none."""

    def __init__(self, inject: Inject) -> None:
        self._inject = inject
        self.edited: set[str] = set()
        self.users: set[str] = set()
        self.given: set[str] = set()

    def __call__(self, program: ExportedProgram) -> ExportedProgram | None:
        before = {place: _text(node) for place, node in _nodes(program)}
        made = self._inject(program)
        after = dict(_nodes(made or program))
        added = {place for place in after if place not in before}
        changed = {place for place, node in after.items() if place in before and before[place] != _text(node)}
        self.edited |= added or {place for place in changed if after[place].op != "output"}
        for place in self.edited:
            self.users |= {_place(place, user) for user in after[place].users}
            self.given |= {_place(place, used) for used in after[place].all_input_nodes}
        return made


def _nodes(program: ExportedProgram) -> Iterator[tuple[str, Node]]:
    """The nodes by the path of their graph module and their name."""
    for path, module in program.graph_module.named_modules():
        if isinstance(module, GraphModule):
            yield from ((f"{path}.{node.name}", node) for node in module.graph.nodes)


def _place(place: str, user: Node) -> str:
    return f"{place.rpartition('.')[0]}.{user.name}"


def _text(node: Node) -> str:
    return f"{node.op} {node.target} {node.args} {node.kwargs}"


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
