"""The search for the origins of the differences that a stage shows: run only for findings of values that differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.export import ExportedProgram

from pytest_exportcheck.checks.closeness import Rule
from pytest_exportcheck.describe import node_of
from pytest_exportcheck.errors import RuntimeHung
from pytest_exportcheck.harness.gradients import backward_of
from pytest_exportcheck.harness.isolation import node_that_raised, quiet
from pytest_exportcheck.harness.process_state import preserved_globals, seed_everything
from pytest_exportcheck.harness.slots import slots_of
from pytest_exportcheck.harness.snapshot import ModuleSnapshot
from pytest_exportcheck.harness.tensors import copy_tree, detached_clone, input_leaves, named_leaves
from pytest_exportcheck.harness.tensors.writes import write_back
from pytest_exportcheck.locate import (
    Runnable,
    Side,
    detached_origin,
    gradient_origin,
    operator_origin,
    origin_node,
    program_origin,
    raising_origin,
    results_of,
)
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.policy import CLOSE
from pytest_exportcheck.records import DifferenceOrigin, Evidence, Finding, Inputs, Record
from pytest_exportcheck.run.observer import Observer
from pytest_exportcheck.run.package_search import PackageSearch
from pytest_exportcheck.run.recheck import has_fused_attention, without_fast_path

_CHECKS = ("outputs", "effects", "gradients")

#: Keys of findings that no value of a node shows.
_NOT_OF_VALUES = (
    "stride",
    "structure",
    "container_update",
    "generator",
    "attribute_mutation",
    "python_state",
    "outside",
)


@dataclass(frozen=True, eq=False)
class Made:
    """One of the two that are compared: something to call with the arguments of the model, the program that it is made
    of, if there is one, and its record. ``package`` searches the package of a runtime.
    """

    call: Any
    program: Any
    record: Record
    package: PackageSearch | None = None


def with_origins(
    findings: Sequence[Finding],
    *,
    observer: Observer,
    calls: Sequence[Inputs],
    mode: Mode,
    before: Made,
    after: Made,
    evidence: Evidence,
) -> list[Finding]:
    """Return the findings, with their origins where values differ and the item fails for it. The findings of one call
    share an origin, except those about gradients. Under a budget every operation may differ a little, and no origin is
    searched.
    """
    if evidence.agreement is not None:
        return list(findings)
    known: dict[tuple[str, bool, bool], DifferenceOrigin | None] = {}
    found: list[Finding] = []
    for finding in findings:
        label = finding.on[0].label if finding.on else ""
        number = next((place for place, call in enumerate(calls) if call.label == label), None)
        if number is None or not asks_for_origin(finding) or evidence.random:
            found.append(finding)
            continue
        key = (label, finding.check == "gradients", finding.change == "raised")
        if key not in known:
            state = evidence.before.observations[number - 1].state if number else {}
            level = str(evidence.contract.get(finding.check, "bits"))
            rule = Rule("bits" if level == "bits" else "close", evidence.tolerance, CLOSE)
            search = _Search(observer, mode, calls[number], state, evidence, gradients=key[1])
            known[key] = search.tried(before, after, rule, raised=key[2])
        found.append(replace(finding, origin=known[key]))
    return found


def asks_for_origin(finding: Finding) -> bool:
    """Return True if a finding is about a value that differs, and fails the item. A package that hangs is not called
    again: each further call may hang too.
    """
    if finding.error is not None and finding.error.type.rpartition(".")[2] == RuntimeHung.__name__:
        return False
    failing = finding.verdict in ("broken", "engine_error") and finding.check in _CHECKS
    return failing and finding.key not in _NOT_OF_VALUES


@dataclass(frozen=True, eq=False)
class _Search:
    """The search for one origin, in one call that begins with ``state`` in place of what the module holds."""

    observer: Observer
    mode: Mode
    call: Inputs
    state: Mapping[str, torch.Tensor]
    evidence: Evidence
    gradients: bool

    def tried(self, before: Made, after: Made, rule: Rule, *, raised: bool) -> DifferenceOrigin | None:
        """Return the origin; the finding is right without one, so a program that cannot be searched is said to be so."""
        try:
            if after.package is not None:
                return self.in_package(after.package, rule, raised=raised)
            return self.raising(after) if raised else self.origin(before, after, rule)
        except (Exception, SystemExit) as error:
            return DifferenceOrigin(kind="unknown", on=self.call.label, reason=f"{type(error).__name__}: {error}")

    def origin(self, before: Made, after: Made, rule: Rule) -> DifferenceOrigin | None:
        with preserved_globals(), quiet(), self.observer.weights_intact():
            one, other = self._side(before), self._side(after)
            if one is None or other is None or self.evidence.alignment is None:
                return self._between_callables(before, after, rule)
            search = gradient_origin if self.gradients else program_origin
            seed_everything(self.observer.seed)
            with self.observer.context(None if self.gradients else self.mode):
                return search(one, other, self.evidence.alignment, self.call, rule)

    def in_package(self, package: PackageSearch, rule: Rule, *, raised: bool) -> DifferenceOrigin | None:
        """Return the origin in the package of a runtime."""
        with preserved_globals(), quiet(), self.observer.weights_intact(), self.observer.context(self.mode):
            return package.origin(self.call, self.state, rule, raised=raised)

    def raising(self, after: Made) -> DifferenceOrigin | None:
        """Return the node of the program that raises, if it does so in a run node by node; of a module with graphs the
        node that it was running.
        """
        side = self._side(after)
        if self.gradients:
            return None
        if side is None:
            return self._raising_call(after)
        with preserved_globals(), quiet(), self.observer.weights_intact():
            seed_everything(self.observer.seed)
            with self.observer.context(self.mode):
                return raising_origin(side, self.call)

    def _raising_call(self, after: Made) -> DifferenceOrigin | None:
        with preserved_globals(), quiet(), self.observer.weights_intact():
            try:
                _CallRun(self, after.call)(nullcontext())
            except (Exception, SystemExit) as error:
                node = node_that_raised(error)
                found = origin_node(node_of(node)) if node is not None else None
                return DifferenceOrigin(kind="raised", after=found, on=self.call.label) if found else None
        return None

    def _between_callables(self, before: Made, after: Made, rule: Rule) -> DifferenceOrigin:
        """Compare two of which one at least has no program; eager without its fast path, as it was judged."""
        with nullcontext() if has_fused_attention(after.record) else without_fast_path():
            found = operator_origin(self._runnable(before), self._runnable(after), rule, self.call.label)
        side = self._side(after)
        if found.kind == "outside" and self.gradients and side is not None:
            return detached_origin(side, self.call)
        return found

    def _side(self, made: Made) -> Side | None:
        if not isinstance(made.program, ExportedProgram) or made.record.program is None:
            return None
        return Side(made.program, made.record.program, self.state)

    def _runnable(self, made: Made) -> Runnable:
        side = self._side(made)
        if side is None:
            return Runnable(_CallRun(self, made.call), made.call)
        makers: dict[str, str] = {}
        return Runnable(_ProgramRun(self, side, makers), None, side.nodes, makers)


@dataclass(frozen=True, eq=False)
class _CallRun:
    """A run of a callable, after which its state is put back."""

    search: _Search
    run: Any

    def __call__(self, recording: AbstractContextManager[Any]) -> Mapping[str, Any]:
        search, run = self.search, self.run
        observer = search.observer
        snapshot = ModuleSnapshot(run, observer.prepared.pristine) if isinstance(run, torch.nn.Module) else None
        try:
            if snapshot is not None:
                _give_state(run, search.state)
            args, kwargs = copy_tree((search.call.args, dict(search.call.kwargs)))
            seed_everything(observer.seed)
            with observer.context(None if search.gradients else search.mode), recording:
                output = run(*args, **kwargs)
                results = {f"output[{n}]": leaf for n, (_, leaf) in enumerate(named_leaves(output, "output"))}
                targets = [leaf for _, leaf in [*(snapshot.current() if snapshot else []), *input_leaves(args, kwargs)]]
                if search.gradients:
                    return _gradients(list(results.values()), targets)
            results |= {f"state {name}": value for name, value in snapshot.current()} if snapshot else {}
            return {place: detached_clone(each) for place, each in results.items() if isinstance(each, torch.Tensor)}
        finally:
            if snapshot is not None:
                snapshot.restore()


@dataclass(frozen=True, eq=False)
class _ProgramRun:
    """A run of the graph of a program, node by node."""

    search: _Search
    side: Side
    makers: dict[str, str]

    def __call__(self, recording: AbstractContextManager[Any]) -> Mapping[str, Any]:
        search = self.search
        seed_everything(search.observer.seed)
        with search.observer.context(None if search.gradients else search.mode):
            results = results_of(self.side, search.call, recording, then=_gradients if search.gradients else None)
        self.makers.update({place: result.node for place, result in results.items()})
        return {place: result.value for place, result in results.items()}


def _gradients(outputs: Sequence[Any], targets: Sequence[Any]) -> Mapping[str, Any]:
    found = backward_of(outputs, [each for each in targets if isinstance(each, torch.Tensor)])
    return {f"gradient {number}": value for number, value in found.items()}


def _give_state(module: torch.nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    for slot in slots_of(module):
        if slot.kind != "attribute" and slot.name in state:
            write_back(slot.tensor, state[slot.name])
