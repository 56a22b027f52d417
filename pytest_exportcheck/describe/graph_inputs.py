"""The flat values that the graph of a program is run with: its state, and the leaves of a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.export.graph_signature import InputKind

from pytest_exportcheck.describe.operators import operator_facts
from pytest_exportcheck.describe.places import keyword_order
from pytest_exportcheck.harness._torch import is_object, pytree
from pytest_exportcheck.harness.objects import MISSING, copied_object
from pytest_exportcheck.harness.tensors import copied, copy_tree
from pytest_exportcheck.records import Inputs


def graph_inputs(
    program: torch.export.ExportedProgram, call: Inputs, state: Mapping[str, torch.Tensor] | None = None
) -> list[Any]:
    """Return the values of the placeholders of a program, in order.

    Inputs, buffers and constants are copies; parameters too where a node may write to them. ``state`` has values that
    take the place of the program's own state, by name.
    """
    args, kwargs = copy_tree((call.args, dict(call.kwargs)))
    user = iter(flat_inputs(program, args, kwargs))
    writes = writes_to_arguments(program)
    memo: dict[int, Any] = {}
    values: list[Any] = []
    for spec in program.graph_signature.input_specs:
        if spec.kind is InputKind.USER_INPUT:
            values.append(next(user))
        elif spec.kind is InputKind.TOKEN:
            values.append(torch.empty(0))
        elif state and spec.target in state:
            values.append(copied(state[spec.target], memo))
        else:
            values.append(_held(program, spec, writes, memo))
    return values


def state_value(program: torch.export.ExportedProgram, spec: Any) -> Any:
    """Return what a program holds for an input spec that is not the user's."""
    return program.state_dict.get(spec.target, program.constants.get(spec.target))


def flat_inputs(program: torch.export.ExportedProgram, args: Any, kwargs: Mapping[str, Any]) -> list[Any]:
    """Return the leaves of the arguments in the program's own order of keywords."""
    ordered = {name: kwargs[name] for name in keyword_order(program) if name in kwargs}
    leaves: list[Any] = pytree.tree_leaves((args, {**ordered, **{k: v for k, v in kwargs.items() if k not in ordered}}))
    return leaves


def writes_to_arguments(program: torch.export.ExportedProgram) -> bool:
    """Return True if a node, in a subgraph as well, says that it may write to what it is given."""
    graphs = [owner.graph for owner in program.graph_module.modules() if isinstance(owner, torch.fx.GraphModule)]
    return any(
        "mutates" in operator_facts(node.target, node.args, node.kwargs)
        for graph in graphs
        for node in graph.nodes
        if node.op == "call_function"
    )


def _held(program: torch.export.ExportedProgram, spec: Any, writes: bool, memo: dict[int, Any]) -> Any:
    value = state_value(program, spec)
    if isinstance(value, torch.Tensor) and (writes or spec.kind is not InputKind.PARAMETER):
        return copied(value, memo)
    if is_object(value):
        made = memo.setdefault(id(value), copied_object(value))
        return value if made is MISSING else made
    return value
