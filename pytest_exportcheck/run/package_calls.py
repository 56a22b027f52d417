"""Single calls of a package, and their comparison with eager: state must not carry over, and dtypes may be converted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from pytest_exportcheck.describe import place_of
from pytest_exportcheck.engines.protocol import StageArtifact
from pytest_exportcheck.fuzz.inputs import is_resizable
from pytest_exportcheck.harness.internal import call_foreign
from pytest_exportcheck.harness.tensors import input_leaves, mapped
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.records import Finding, Inputs, Observation, Record
from pytest_exportcheck.run.observer import Observer

#: A function that compares eager's call with the package's.
Compare: TypeAlias = Callable[[Inputs, Observation, Observation], Sequence[Finding]]
Run: TypeAlias = Callable[[Inputs], Observation]


def package_caller(observer: Observer, artifact: StageArtifact, mode: Mode, eager: Record) -> Run:
    """Return a function that makes one call of a package as if it were the first. The package of a module that changes
    its state is loaded for every call, because nothing puts its state back.
    """
    if not any(each.state for each in eager.observations):
        return observer.caller(call_foreign(artifact.callable), mode)

    def call(inputs: Inputs) -> Observation:
        loaded: Any = call_foreign(artifact.callable)
        try:
            return observer.caller(loaded, mode)(inputs)
        finally:
            loaded.drop()

    return call


def converting(compare: Compare, eager: Run, example: Inputs, note: Callable[[Inputs], Any]) -> Compare:
    """Return a comparison for a package that may convert its inputs to the dtypes of the example: then it must compute
    what eager computes with these dtypes. ``note`` is called with inputs that it converts.
    """

    def compared(call: Inputs, before: Observation, after: Observation) -> Sequence[Finding]:
        differences = compare(call, before, after)
        if any(each.key == "dtype" for each in differences):
            same = _as_declared(call, example)
            differences = compare(same, eager(same), after)
            if not differences:
                note(call)
        return differences

    return compared


def _as_declared(call: Inputs, example: Inputs) -> Inputs:
    """Return the inputs in the dtypes of the example."""
    dtypes = {place: leaf.dtype for place, leaf in input_leaves(example.args, example.kwargs) if is_resizable(leaf)}

    def converted(path: Any, leaf: Any) -> Any:
        place = place_of(path)
        return leaf.detach().to(dtypes[place]) if place in dtypes and is_resizable(leaf) else leaf

    args, kwargs = mapped(converted, call.args, call.kwargs)
    return Inputs(call.label, args, kwargs, call.sizes)
