"""Results of a run of a program: what it returns and writes, with the nodes that do it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

from torch.export.graph_signature import InputKind, OutputKind

from pytest_exportcheck.checks.compare.alignment import refs
from pytest_exportcheck.harness._torch import pytree
from pytest_exportcheck.locate.recorder import Recorder
from pytest_exportcheck.locate.sides import Side
from pytest_exportcheck.records import Inputs

_WRITTEN = (OutputKind.BUFFER_MUTATION, OutputKind.PARAMETER_MUTATION, OutputKind.USER_INPUT_MUTATION)


@dataclass(frozen=True)
class Result:
    """A value that a program returned or wrote, and the name of the node that yields it."""

    node: str
    value: Any


#: A step after a run: it gets the user's outputs and the inputs of the graph, and returns other results.
Then: TypeAlias = Callable[[Sequence[Any], Sequence[Any]], Mapping[str, Any]]


def results_of(
    side: Side, call: Inputs, recording: AbstractContextManager[Any] | None = None, then: Then | None = None
) -> dict[str, Result]:
    """Run a program in a context, and return the user's outputs and the values of state and inputs afterwards, by
    place: ``output[0]``, ``state norm.running_mean``, ``input x``; or only what ``then`` returns.
    """
    run = side.run(call)
    if isinstance(recording, Recorder):
        recording.program(run)
    with recording or nullcontext():
        for _ in run.steps():
            pass
        if then is not None:
            return {
                place: Result("", value) for place, value in then(user_outputs(side, run.returned), run.inputs).items()
            }
    signature = side.program.graph_signature
    places = {spec.arg.name: _place(spec) for spec in signature.input_specs if hasattr(spec.arg, "name")}
    found = {
        places[spec.arg.name]: Result(_writer(side, spec.arg.name), value)
        for spec, value in zip(signature.input_specs, run.inputs, strict=False)
        if spec.arg.name in places and spec.kind is not InputKind.TOKEN
    }
    returned = list(run.returned) if isinstance(run.returned, (tuple, list)) else [run.returned]
    number = 0
    nodes = pytree.tree_leaves(run.graph.output_node().args[0])
    for spec, value, source in zip(signature.output_specs, returned, nodes, strict=False):
        node = str(getattr(source, "name", ""))
        if spec.kind is OutputKind.USER_OUTPUT:
            found[f"output[{number}]"] = Result(node, value)
            number += 1
        elif spec.kind in _WRITTEN:
            state = spec.kind is not OutputKind.USER_INPUT_MUTATION
            found[f"state {spec.target}" if state else f"input {spec.target}"] = Result(node, value)
    return found


def user_outputs(side: Side, returned: Any) -> list[Any]:
    """Return the user's outputs among what the graph of a program returned."""
    values = list(returned) if isinstance(returned, (tuple, list)) else [returned]
    specs = side.program.graph_signature.output_specs
    return [value for spec, value in zip(specs, values, strict=False) if spec.kind is OutputKind.USER_OUTPUT]


def _place(spec: Any) -> str:
    return f"input {spec.arg.name}" if spec.kind is InputKind.USER_INPUT else f"state {spec.target}"


def _writer(side: Side, placeholder: str) -> str:
    """Return the last node that writes to a placeholder or to a view of it; the placeholder where there is none."""
    reached, writer = {placeholder}, placeholder
    for node in side.graph.nodes:
        if not node.facts & {"view", "mutates"} or not any(ref.name in reached for ref in refs(node)[:1]):
            continue
        reached.add(node.name)
        if "mutates" in node.facts:
            writer = node.name
    return writer
