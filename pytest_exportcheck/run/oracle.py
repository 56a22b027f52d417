"""Eager, the oracle of all comparisons: under the user's own circumstances, and without grad for inference programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

from pytest_exportcheck.checks import changes_of, run_checks
from pytest_exportcheck.describe import call_spec_of_call, claimed_types_of, module_types_of, state_of, untraced_of
from pytest_exportcheck.harness.containers import contents_of
from pytest_exportcheck.harness.observation import observe
from pytest_exportcheck.harness.slots import slots_of
from pytest_exportcheck.harness.snapshot import ModuleSnapshot
from pytest_exportcheck.harness.tensors.writes import write_back
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.policy import BLOCKING, without_grad
from pytest_exportcheck.records import Evidence, Inputs, Observation, Record
from pytest_exportcheck.records.levels import all_at
from pytest_exportcheck.run.observer import Observer
from pytest_exportcheck.run.recheck import EagerAgain, Recheck


@dataclass(frozen=True, eq=False, kw_only=True)
class Oracle:
    """Eager under certain circumstances: those of ``mode``, or those of the user's own calls if it is None."""

    record: Record
    again: EagerAgain
    calls: Sequence[Inputs]
    mode: Mode | None = None

    @cached_property
    def recheck(self) -> Recheck:
        """Check differences from this oracle again, under its own circumstances."""
        return Recheck(self.again, self.record, self.calls)


class Oracles:
    """The oracles of a case. Eager without grad is run when the first inference program is judged."""

    def __init__(self, observer: Observer, record: Record, calls: Sequence[Inputs]) -> None:
        self._observer = observer
        self._as_with_grad: set[tuple[str, str]] = set()
        again = EagerAgain(observer.prepared, observer.case.context, observer.seed, observer.around)
        self.with_grad = Oracle(record=record, again=again, calls=calls)

    def of(self, engine: str, mode: Mode) -> Oracle:
        """Return the oracle that a mode of an engine is compared with."""
        if not without_grad(mode.stages) or (engine, mode.capture) in self._as_with_grad:
            return self.with_grad
        return self.without_grad

    def hold_against_grad(self, engine: str, capture: str) -> None:
        """Compare an inference capture, and everything made of it, with eager with grad from now on."""
        self._as_with_grad.add((engine, capture))

    @cached_property
    def without_grad(self) -> Oracle:
        """Return eager under ``torch.no_grad()``, with the gradients of eager; eager itself if it needs grad to run at
        all.
        """
        observer, usual = self._observer, self.with_grad
        module = observer.prepared.fresh_module()
        first, *rest = observer.observe(module, usual.calls, mode=_INFERENCE, watched=(observer.attributes(module),))
        if any(each.raised for each in (first, *rest)):
            return usual
        graded = replace(first, gradients=usual.record.observations[0].gradients)
        return Oracle(
            record=replace(usual.record, observations=(graded, *rest)),
            again=usual.again.under(partial(observer.context, _INFERENCE)),
            calls=usual.calls,
            mode=_INFERENCE,
        )


#: A mode that is judged without grad.
_INFERENCE = Mode.parse("nonstrict_postdispatch")


def eager_twice(observer: Observer, calls: Sequence[Inputs]) -> tuple[Record, Record]:
    """Observe eager, and observe it again."""
    first = _eager(observer, calls)
    observer.around.keep(changes_of(first))
    again = _eager_again(observer, calls, first)
    carries = observer.attempts.at("the second call of eager", lambda: _carries(observer, calls, first, again), None)
    return replace(first, carries=carries), again


def _eager(observer: Observer, calls: Sequence[Inputs]) -> Record:
    module, example, at = observer.prepared.fresh_module(), observer.prepared.example, observer.attempts.at
    observations = observer.observe(module, calls, watched=(observer.attributes(module),))
    structure = observations[0].structure
    return Record(
        observations=observations,
        state=at("the state of the module", lambda: state_of(module), None),
        call_spec=at("the call spec", lambda: call_spec_of_call(module, example.args, example.kwargs, structure), None),
        modules=at("the submodules", lambda: module_types_of(module), {}),
        claimed=at("the classes of graph modules", lambda: claimed_types_of(module), {}),
        untraced=at(
            "the functions without lines",
            lambda: untraced_of(module, holds_objects=bool(contents_of(example.args, example.kwargs).contexts)),
            Record(observations=()).untraced,
        ),
    )


def _eager_again(observer: Observer, calls: Sequence[Inputs], first: Record) -> Record:
    """Run eager a second time. If it differs until flags and tables outside the module are put back too, they are put
    back from now on.
    """
    again, around = _eager(observer, calls), observer.around
    if not around.leaves_changes() or not unstable_checks(first, again):
        return again
    later = around.as_it_is()
    around.everything = True
    around.restore()
    third = _eager(observer, calls)
    if not unstable_checks(first, third):
        return third
    around.everything = False
    later.restore()
    return again


def _carries(observer: Observer, calls: Sequence[Inputs], first: Record, again: Record) -> bool | None:
    """Return True if the second call of a random case gives other outputs if only the buffers come from the first call.
    None if that is not known: for other cases, or if eager draws other numbers each time.
    """
    changed = changes_of(first) or any(each.rebound for each in first.observations)
    if not (observer.case.random and changed) or any(each.raised for each in first.observations):
        return None
    if len(first.observations) < 2:
        return False
    if "outputs" in unstable_checks(first, again):
        return None
    one, two, *_ = first.observations
    alone = _second_call_alone(observer, calls, one)
    return "outputs" in unstable_checks(replace(first, observations=(two,)), replace(first, observations=alone))


def _second_call_alone(observer: Observer, calls: Sequence[Inputs], one: Observation) -> tuple[Observation, ...]:
    """Make the second call on a module that has only the buffers of the first call."""
    with observer.weights_intact():
        module = observer.prepared.fresh_module()
        for slot in slots_of(module):
            if slot.kind != "attribute" and slot.name in one.state:
                write_back(slot.tensor, one.state[slot.name])
        return observe(
            module,
            calls[1:2],
            snapshot=ModuleSnapshot(module),
            seed=observer.seed + 1,
            context=partial(observer.context, None),
            gradients=False,
            watched=(observer.around,),
        )


#: Checks of values that eager itself may not repeat.
_VALUES = (*sorted(BLOCKING, reverse=True), "gradients")


def unstable_checks(first: Record, second: Record) -> tuple[str, ...]:
    """Return the checks by which two runs of one callable differ, bit for bit."""
    evidence = Evidence(
        case="", engine="eager", mode="", stage="", before=first, after=second, contract=all_at(_VALUES, "bits")
    )
    found = {finding.check for finding in run_checks(evidence)}
    return tuple(check for check in _VALUES if check in found)
