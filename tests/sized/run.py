"""Runs an entry of the library: by brute force, and by fuzzing."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch.export import ExportedProgram

from pytest_exportcheck.describe import declared_dims
from pytest_exportcheck.engines.bare import as_engine
from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.fuzz.facts import declared_facts
from pytest_exportcheck.fuzz.values import resized
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.options import Fuzzing
from pytest_exportcheck.records import Case, Inputs, Origin, Outcome
from pytest_exportcheck.runner import Runner
from tests.sized.sized import Calls, Kind, Sized


class Defective(TorchExport):
    """``torch.export``, but for the function that is captured and the edit of its program."""

    def __init__(self, entry: Sized) -> None:
        self._entry = entry

    def export(self, module: Any, *args: Any, **kwargs: Any) -> ExportedProgram:
        function = module.function
        module.function = self._entry.program or function
        try:
            program = super().export(module, *args, **kwargs)
        finally:
            module.function = function
        if self._entry.edit is not None:
            self._entry.edit(program)
        return program


def case_of(entry: Sized, function: Callable[..., Any], seed: int = 0) -> Case:
    """A case of the entry; ``seed`` is for hypothesis, which takes it from the name here."""
    return Case(
        name=entry.id,
        build=lambda: Calls(function),
        origin=Origin(f"seed_{seed}", __file__, 1),
        args=entry.args,
        kwargs=entry.kwargs,
        dynamic_shapes=shapes_of(entry),
    )


def shapes_of(entry: Sized) -> Any:
    """Dynamic shapes of all arguments that the entry gives."""
    if isinstance(entry.dynamic_shapes, dict):
        return entry.dynamic_shapes
    return (*entry.dynamic_shapes, *[None] * (len(entry.args) - len(entry.dynamic_shapes)))


def fuzzed(entry: Sized, *, seed: int, examples: int, sound: bool = False) -> Outcome:
    """The outcome of fuzzing the captured program of an entry, or of the same without the defect."""
    function = (entry.sound or entry.eager) if sound else entry.eager
    case = case_of(entry, function, seed)
    engine = as_engine(TorchExport() if sound else Defective(entry))
    runner = Runner({engine.name: engine}, threads=1, seed=seed, fuzz=Fuzzing(examples=examples))
    mode = Mode(("nonstrict",))
    runner.select((case, engine.name, each) for each in (mode, mode.fuzzed))
    before = runner.run(case, engine.name, mode)
    assert before.status in ("passed", "known", "failed"), before
    return runner.run(case, engine.name, mode.fuzzed)


def failing_sizes(entry: Sized) -> Iterator[tuple[dict[str, int], Kind]]:
    """Sizes of the roots at which the program is wrong, smallest first; one step out of the bounds for what it takes wrongly."""
    module, example = Calls(entry.eager), Inputs("", entry.args, entry.kwargs)
    program = Defective(entry).export(
        Calls(entry.eager), entry.args, dict(entry.kwargs), dynamic_shapes=shapes_of(entry)
    )
    run = program.module()
    facts = declared_facts(declared_dims(module, example, shapes_of(entry)))
    for sizes in _grid(facts.roots, entry):
        call = resized(example, facts.at(sizes), label="", seed=0)
        wrong = _difference(module, run, call)
        if entry.kind == "accepts":  # to refuse is right there
            wrong = "accepts" if wrong == "differs" else None
        if wrong is not None:
            yield sizes, wrong


def _grid(roots: Mapping[str, Any], entry: Sized) -> Iterator[dict[str, int]]:
    if entry.kind == "accepts":
        ((name, interval),) = roots.items()
        yield from ({name: size} for size in (interval.lower - 1, interval.upper + 1))
        return
    lasts = [interval.upper or 300 for interval in roots.values()]
    ranges = [range(interval.lower, last + 1) for interval, last in zip(roots.values(), lasts, strict=True)]
    yield from (dict(zip(roots, sizes, strict=True)) for sizes in product(*ranges))


def _difference(module: Calls, run: Callable[..., Any], call: Inputs) -> Kind | None:
    module.total.zero_()
    before = dict(getattr(run, "named_buffers", dict)())
    for buffer in before.values():
        buffer.zero_()
    results = []
    for function, total in ((module, module.total), (run, before.get("total", torch.zeros(())))):
        args, kwargs = copy.deepcopy((call.args, dict(call.kwargs)))
        try:
            results.append((function(*args, **kwargs), args, kwargs, total))
        except (RuntimeError, AssertionError):
            return "refuses" if results else None
    left, right = (pytree.tree_leaves(each) for each in results)
    same = all(_same(*pair) for pair in zip(left, right, strict=True))
    return None if same else "differs"


def _same(one: Any, other: Any) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return bool(torch.equal(one.isnan(), other.isnan()) and torch.equal(one.nan_to_num(), other.nan_to_num()))
