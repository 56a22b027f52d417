"""A case that is set up and whose module was observed: every stage starts from it and is compared with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_exportcheck.describe import check_inputs, check_sample, declared_dims
from pytest_exportcheck.errors import CaseError
from pytest_exportcheck.harness._torch import is_object
from pytest_exportcheck.harness.dynamic_shapes import effective_shapes
from pytest_exportcheck.harness.internal import Attempts
from pytest_exportcheck.harness.objects import MISSING, ObjectsSnapshot, as_value, copied_object
from pytest_exportcheck.harness.setup import FRESH, PreparedCase, sample_name, set_up
from pytest_exportcheck.harness.tensors import input_leaves, leaf_of
from pytest_exportcheck.records import Case, DeclaredDim, Finding, Inputs, Leaf, Raised, Record
from pytest_exportcheck.run.budgets import check_budgets
from pytest_exportcheck.run.observer import Observer, pinned_threads
from pytest_exportcheck.run.oracle import Oracles, eager_twice, unstable_checks
from pytest_exportcheck.run.settings import Settings


@dataclass(frozen=True, eq=False, kw_only=True)
class ObservedCase:
    """A case that is set up. ``calls`` are the example, fresh inputs if eager accepts them,
    and named inputs; ``declared`` and
    ``given`` are the dynamic dims and the leaves of the example; ``unstable`` names the checks of values that eager
    itself does not repeat; ``unseen`` are failures of the plugin to observe the module.
    """

    case: Case
    settings: Settings
    prepared: PreparedCase
    observer: Observer
    oracles: Oracles
    calls: Sequence[Inputs]
    declared: tuple[DeclaredDim, ...]
    given: tuple[Leaf, ...]
    unstable: tuple[str, ...]
    notes: tuple[str, ...]
    unseen: Sequence[Finding]
    attempts: Attempts

    @property
    def weight_bytes(self) -> int:
        """Return the size of the state of the module."""
        return sum(each.numel() * each.element_size() for each in self.prepared.pristine.values())


def observed_case(case: Case, settings: Settings) -> ObservedCase:
    """Set a case up and observe its module.

    Raises
    ------
    CaseError
        When the case cannot be set up, or the module itself raises on its example inputs.
    """
    attempts, seed = Attempts(), settings.seed + case.seed
    with pinned_threads(settings.threads), settings.progress(f"setting up {case.name}"):
        prepared = set_up(case, seed)
        declared = _declared(case, prepared)
        observer = Observer(case, prepared, seed, attempts)
        calls = (prepared.example, prepared.fresh, *prepared.samples)
        first, again = eager_twice(observer, calls)
        refused = _of_fresh(first)
        if refused:
            calls = (prepared.example, *prepared.samples)
            first, again = eager_twice(observer, calls) if prepared.samples else (first, again)
    _refuse_a_failing_module(case, first)
    _refuse_a_failing_sample(case, first, calls)
    check_budgets(case, first.observations[0])
    as_the_case_says = bool(first.observations[0].raised)
    unstable = () if case.random or as_the_case_says else unstable_checks(first, again)
    return ObservedCase(
        case=case,
        settings=settings,
        prepared=prepared,
        observer=observer,
        oracles=Oracles(observer, first, calls),
        calls=calls,
        declared=declared,
        given=_given(prepared.example),
        unstable=unstable,
        notes=tuple(_notes(refused, unstable, list(_uncopied(prepared)))),
        unseen=attempts.failed(),
        attempts=attempts,
    )


def _of_fresh(first: Record) -> Raised | None:
    """Return what eager raised on fresh inputs, None where it accepts them."""
    return next((each.raised for each in first.observations if each.label == FRESH), None)


def _declared(case: Case, prepared: PreparedCase) -> tuple[DeclaredDim, ...]:
    """Return the declared dims; none for a case whose inputs the engine is to refuse."""
    if case.rejected_at("capture"):
        return ()
    shapes = effective_shapes(prepared.module, prepared.dynamic_shapes)
    check_inputs(case, prepared.module, prepared.example, prepared.fresh, shapes)
    for sample in prepared.samples:
        check_sample(case, prepared.module, prepared.example, sample, shapes)
    return declared_dims(prepared.module, prepared.example, shapes)


def _given(example: Inputs) -> tuple[Leaf, ...]:
    leaves = input_leaves(example.args, example.kwargs)
    return tuple(leaf_of(place, as_value(value), clone=False) for place, value in leaves)


def _refuse_a_failing_module(case: Case, first: Record) -> None:
    """Raise if the module refuses its example inputs, unless its captures must refuse them."""
    raised = first.observations[0].raised
    if raised and not case.rejected_at("capture"):
        raise CaseError(
            f"case {case.name!r} ({case.origin}): the module itself raises on its example inputs, "
            f"before anything is exported: {raised}"
        )


def _refuse_a_failing_sample(case: Case, first: Record, calls: Sequence[Inputs]) -> None:
    """Raise if the module refuses named inputs. Calls after one that raises were not made."""
    last = first.observations[-1]
    if last.raised and sample_name(last.label):
        earlier = " and ".join(each.label for each in calls[: len(first.observations) - 1])
        raise CaseError(
            f"case {case.name!r} ({case.origin}): the module itself raises on {last.label}, after {earlier}, before anything is "
            f"exported: {last.raised}"
        )


def _uncopied(prepared: PreparedCase) -> Iterator[str]:
    """Yield the names of the objects whose classes allow no copies."""
    yield from (f"self.{name}" for name in ObjectsSnapshot(prepared.module).uncopied)
    for place, leaf in input_leaves(prepared.example.args, prepared.example.kwargs):
        if is_object(leaf) and copied_object(leaf) is MISSING:
            yield place


def _notes(refused: Raised | None, unstable: Sequence[str], uncopied: Sequence[str]) -> Iterator[str]:
    if uncopied:
        yield (
            f"{', '.join(uncopied)} cannot be copied, so that every run changes the same object: define how the class is "
            "pickled (def_pickle in C++, __getstate__ in Python)"
        )
    if refused:
        yield f"fresh inputs were unusable: eager itself refuses them ({refused.type})"
    if unstable:
        yield f"eager is not bit-stable from run to run: {' and '.join(unstable)} are compared with a tolerance"
