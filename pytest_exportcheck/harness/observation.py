"""Observations: runs of a callable under snapshot and restore, and records of what it did."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import combinations
from typing import Any

import torch

from pytest_exportcheck.harness._torch import pytree
from pytest_exportcheck.harness.containers import contents_of, updates_since
from pytest_exportcheck.harness.gradients import gradients_of
from pytest_exportcheck.harness.isolation import quiet, raised_from
from pytest_exportcheck.harness.objects import as_value, object_value, same_object
from pytest_exportcheck.harness.outside import Watched
from pytest_exportcheck.harness.process_state import generator_digest, preserved_globals, seed_everything
from pytest_exportcheck.harness.snapshot import ModuleSnapshot
from pytest_exportcheck.harness.tensors import (
    copy_tree,
    detached_clone,
    input_leaves,
    leaf_of,
    named_leaves,
    same_bits,
    storage_key,
)
from pytest_exportcheck.records import Gradients, Inputs, ObjectValue, Observation


def observe(
    run: Callable[..., Any],
    calls: Sequence[Inputs],
    *,
    snapshot: ModuleSnapshot | None,
    seed: int,
    context: Callable[[], AbstractContextManager[Any]] | None = None,
    like: Observation | None = None,
    gradients: bool = True,
    watched: Sequence[Watched] = (),
) -> tuple[Observation, ...]:
    """Call ``run`` once for each of ``calls``, one after the other, and observe each call.

    State carries over from call to call, so that a buffer that is updated shows over two calls; afterwards the module
    of ``snapshot``, the generators and the global modes are restored. The series ends early when a call raises.

    ``watched`` are further values whose changes are recorded, and that are restored afterwards.

    The first call is followed by backward, where ``gradients`` are requested. Gradients that hold the same bits as
    those of ``like`` are its tensors.
    """
    observations: list[Observation] = []
    with preserved_globals(), quiet():
        if snapshot is not None:
            snapshot.aliased()
        try:
            for number, call in enumerate(calls):
                differentiate = _no_gradients if number or not gradients else partial(gradients_of, like=like)
                observations.append(
                    _one_call(run, call, snapshot, seed + number, context or nullcontext, differentiate, watched)
                )
                if observations[-1].raised:
                    break
        finally:
            if snapshot is not None:
                snapshot.restore()
            for each in watched:
                each.restore()
    return tuple(observations)


def _one_call(
    run: Callable[..., Any],
    call: Inputs,
    snapshot: ModuleSnapshot | None,
    seed: int,
    context: Callable[[], AbstractContextManager[Any]],
    differentiate: Callable[..., Gradients | None],
    watched: Sequence[Watched],
) -> Observation:
    args, kwargs = copy_tree((call.args, dict(call.kwargs)))
    before = [(place, leaf, _clone(leaf)) for place, leaf in input_leaves(args, kwargs)]
    held = contents_of(args, kwargs)
    seed_everything(seed)
    try:
        with context():
            output = run(*args, **kwargs)
    except (Exception, SystemExit) as error:
        return Observation(label=call.label, raised=raised_from(error), sizes=call.sizes)
    leaves = list(named_leaves(output, "output"))
    return Observation(
        label=call.label,
        structure=pytree.tree_structure(output),
        outputs=tuple(leaf_of(place, as_value(leaf)) for place, leaf in leaves),
        inputs={
            place: detached_clone(leaf)
            for place, leaf, value in before
            if isinstance(leaf, torch.Tensor) and not same_bits(leaf, value)
        },
        updates=updates_since(held, {id(leaf): value for _, leaf, value in before}, args, kwargs),
        outside=tuple(change for each in watched for change in each.changed()),
        state=snapshot.changed() if snapshot else {},
        objects=dict(_changed_objects(before, snapshot)),
        rebound=snapshot.rebound() if snapshot else frozenset(),
        aliases=_aliases(leaves, [(place, leaf) for place, leaf, _ in before], snapshot),
        generator=generator_digest(),
        gradients=differentiate(leaves, [(place, leaf) for place, leaf, _ in before], snapshot),
        sizes=call.sizes,
    )


def _no_gradients(*_: Any) -> None:
    return None


def _clone(leaf: Any) -> Any:
    return detached_clone(leaf) if isinstance(leaf, torch.Tensor) else as_value(leaf)


def _changed_objects(
    before: Sequence[tuple[str, Any, Any]], snapshot: ModuleSnapshot | None
) -> Iterator[tuple[str, ObjectValue]]:
    for place, leaf, value in before:
        if isinstance(value, ObjectValue):
            now = object_value(leaf)
            if not same_object(value, now):
                yield f"input {place}", now
    for name, now in snapshot.objects.changed().items() if snapshot else ():
        yield f"state {name}", now


def _aliases(
    outputs: Sequence[tuple[str, Any]], inputs: Sequence[tuple[str, Any]], snapshot: ModuleSnapshot | None
) -> frozenset[tuple[str, str]]:
    """Return pairs of an output and another place (an output, an input, a state tensor) that share storage."""
    owners: dict[Hashable, list[str]] = {}
    sharing: dict[Hashable, list[str]] = {}
    state = snapshot.current() if snapshot else []
    for place, leaf in [*inputs, *state]:
        if isinstance(leaf, torch.Tensor) and (key := storage_key(leaf)):
            owners.setdefault(key, []).append(place)
    for place, leaf in outputs:
        if isinstance(leaf, torch.Tensor) and (key := storage_key(leaf)):
            sharing.setdefault(key, []).append(place)
    return frozenset(
        pair
        for key, places in sharing.items()
        for pair in [
            *combinations(places, 2),
            *((place, owner) for place in places for owner in owners.get(key, [])),
        ]
    )
