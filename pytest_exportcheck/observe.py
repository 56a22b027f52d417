"""Runs a callable under snapshot and restore, and writes down what it did."""

from __future__ import annotations

import logging
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
import torch.utils._pytree as pytree

from pytest_exportcheck.records import Inputs, Leaf, Observation, Raised
from pytest_exportcheck.snapshot import (
    ModuleSnapshot,
    generator_digest,
    preserved_globals,
    seed_everything,
)
from pytest_exportcheck.tensors import (
    copy_tree,
    detached_clone,
    facts_of,
    input_leaves,
    named_leaves,
    same_bits,
    storage_key,
)


def observe(
    run: Callable[..., Any],
    calls: Sequence[Inputs],
    *,
    snapshot: ModuleSnapshot | None,
    seed: int,
    context: Callable[[], AbstractContextManager[Any]] | None = None,
) -> tuple[Observation, ...]:
    """Call ``run`` once for each of ``calls``, one after the other, and observe each call.

    State carries over from call to call, so that a buffer that is updated shows over two calls; afterwards the module
    of ``snapshot``, the generators and the global modes are as before. The series ends early when a call raises.
    """
    observations: list[Observation] = []
    with preserved_globals(), quiet():
        try:
            for number, call in enumerate(calls):
                observations.append(_one_call(run, call, snapshot, seed + number, context or nullcontext))
                if observations[-1].raised:
                    break
        finally:
            if snapshot is not None:
                snapshot.restore()
    return tuple(observations)


def _one_call(
    run: Callable[..., Any],
    call: Inputs,
    snapshot: ModuleSnapshot | None,
    seed: int,
    context: Callable[[], AbstractContextManager[Any]],
) -> Observation:
    args, kwargs = copy_tree((call.args, dict(call.kwargs)))
    before = [(place, leaf, _clone(leaf)) for place, leaf in input_leaves(args, kwargs)]
    seed_everything(seed)
    try:
        with context():
            output = run(*args, **kwargs)
    except Exception as error:
        return Observation(label=call.label, raised=raised_from(error))
    leaves = list(named_leaves(output, "output"))
    return Observation(
        label=call.label,
        structure=pytree.tree_structure(output),
        outputs=tuple(_leaf(place, leaf) for place, leaf in leaves),
        inputs={
            place: detached_clone(leaf)
            for place, leaf, value in before
            if isinstance(leaf, torch.Tensor) and not same_bits(leaf, value)
        },
        state=snapshot.changed() if snapshot else {},
        aliases=_aliases(leaves, [(place, leaf) for place, leaf, _ in before], snapshot),
        generator=generator_digest(),
    )


def _leaf(place: str, value: Any) -> Leaf:
    if isinstance(value, torch.Tensor):
        return Leaf(place, detached_clone(value), facts_of(value))
    return Leaf(place, value)


def _clone(leaf: Any) -> Any:
    return detached_clone(leaf) if isinstance(leaf, torch.Tensor) else leaf


def _aliases(
    outputs: Sequence[tuple[str, Any]], inputs: Sequence[tuple[str, Any]], snapshot: ModuleSnapshot | None
) -> frozenset[tuple[str, str]]:
    """Pairs of an output and something else (an output, an input, a state tensor) that share storage."""
    owners: dict[tuple[str, int], list[str]] = {}
    sharing: dict[tuple[str, int], list[str]] = {}
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


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, nothing that pytest does with warnings and log records changes what torch does.

    Under ``-W error`` a warning would end a capture. pytest's log handlers show every record of torch's structured trace,
    and raise where a message does not fit its arguments, as one of torch's loader does (2.14.1, on inputs that the
    weights-only unpickler refuses). torch's own handler still writes to stderr.
    """
    attached = _pytest_handlers_of_torch()
    for logger, handler in attached:
        logger.removeHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, handler in attached:
            logger.addHandler(handler)


def _pytest_handlers_of_torch() -> list[tuple[logging.Logger, logging.Handler]]:
    """pytest attaches its handlers to loggers that do not propagate; torch's do not."""
    loggers = [
        logger
        for name, logger in logging.root.manager.loggerDict.items()
        if name.partition(".")[0] == "torch" and isinstance(logger, logging.Logger)
    ]
    return [
        (logger, handler)
        for logger in loggers
        for handler in list(logger.handlers)
        if type(handler).__module__.startswith("_pytest.")
    ]


def raised_from(error: BaseException) -> Raised:
    """An exception as text, with the last line of code that is neither torch's nor this plugin's."""
    return Raised(_type_name(type(error)), str(error).strip(), _where(error))


def _type_name(kind: type[BaseException]) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


_INFRASTRUCTURE = (str(Path(torch.__file__).parent), str(Path(__file__).parent))


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith((*_INFRASTRUCTURE, "<"))]
    if not own:
        return ""
    return f"{own[-1].filename}:{own[-1].lineno} in {own[-1].name}: {own[-1].line}"
