"""Circumstances: facts about a module or a program that a known defect of torch needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pytest_exportcheck.checks.compare.alignment import refs
from pytest_exportcheck.records import (
    Cause,
    Evidence,
    GraphRecord,
    NodeRecord,
    Observation,
    ProgramRecord,
    Record,
    TensorFacts,
)

_PLAIN = ("Tensor", "Parameter", "Buffer")


def of_capture(eager: Record) -> Iterator[Cause]:
    """Name the tensor subclasses that a module holds, for a capture that raised."""
    entries = eager.state.entries.values() if eager.state else ()
    for each in entries:
        if _is_subclass(each.facts):
            yield Cause("subclass_state", f"{each.name} ({each.facts.type})")


def of_call(evidence: Evidence, before: Observation) -> Iterator[Cause]:
    """Name the causes for a program that raises at its call: what it had to return, and what its operations lack."""
    for each in before.outputs:
        if each.facts is not None and _is_subclass(each.facts):
            yield Cause("subclass_output", f"{each.place} ({each.facts.type})")
    program = evidence.before.program
    if evidence.stage == "unflatten" and program is not None and _lacks_root(program):
        yield Cause("root_missing")


def tracing_tensor(kind: str) -> Iterator[Cause]:
    """Name a class of tensor that only a tracer makes."""
    if kind in ("FakeTensor", "FunctionalTensor"):
        yield Cause("tracing_tensor", kind)


def results_of(graph: GraphRecord, node: NodeRecord) -> Iterator[Cause]:
    """Name, for a node that takes one result of an operation with several, which operation, and whether the exporter
    fetched the result again.
    """
    if "getitem" not in node.facts:
        return
    source = next((each for each in graph.nodes if refs(node) and each.name == refs(node)[0].name), None)
    if source is None or source.op != "call_function":
        return
    yield Cause("result_of" if "." in source.target else "result_of_region", source.target)
    function = node.meta.get("torch_fn")
    if isinstance(function, tuple) and function[1:] == ("builtin_function_or_method.getitem",):
        yield Cause("fetched_again", source.target)


def separators(key: str, stack: Any) -> Iterator[Cause]:
    """Name the paths of a module stack that hold a separator of the text that torch saves it as."""
    if key == "nn_module_stack" and isinstance(stack, tuple):
        paths = [str(entry[1]) for entry in stack if isinstance(entry, tuple) and len(entry) > 1]
        yield from (Cause("separator_in_path", path) for path in paths if any(sign in path for sign in ",;()"))


def _is_subclass(facts: TensorFacts | None) -> bool:
    return facts is not None and facts.type not in _PLAIN


def _lacks_root(program: ProgramRecord) -> bool:
    stacks = [node.meta.get("nn_module_stack") for node in program.graphs[""].nodes if node.op == "call_function"]
    return any(isinstance(stack, tuple) and stack and all(entry[1] for entry in stack) for stack in stacks)
