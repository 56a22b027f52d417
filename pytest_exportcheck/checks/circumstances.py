"""Circumstances: facts about a module or a program that a known defect of torch needs."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_exportcheck.records import Evidence, Observation, ProgramRecord, Record, TensorFacts

_PLAIN = ("Tensor", "Parameter", "Buffer")


def of_capture(eager: Record) -> Iterator[str]:
    """Name the tensor subclasses that a module holds, for a capture that raised."""
    entries = eager.state.entries.values() if eager.state else ()
    held = [f"{each.name} ({each.facts.type})" for each in entries if _is_subclass(each.facts)]
    if held:
        yield f"the module holds tensor subclasses: {', '.join(held)}"


def of_call(evidence: Evidence, before: Observation) -> Iterator[str]:
    """Say what a program that raises at its call had to return, and what its operations lack."""
    outputs = [(each.place, each.facts) for each in before.outputs if each.facts is not None]
    returned = [f"{place} ({facts.type})" for place, facts in outputs if _is_subclass(facts)]
    if returned:
        yield f"outputs are tensor subclasses: {', '.join(returned)}"
    program = evidence.before.program
    if evidence.stage == "unflatten" and program is not None and _lacks_root(program):
        yield "operations of the program lack the root module in nn_module_stack"


def _is_subclass(facts: TensorFacts | None) -> bool:
    return facts is not None and facts.type not in _PLAIN


def _lacks_root(program: ProgramRecord) -> bool:
    stacks = [node.meta.get("nn_module_stack") for node in program.graphs[""].nodes if node.op == "call_function"]
    return any(isinstance(stack, tuple) and stack and all(entry[1] for entry in stack) for stack in stacks)
