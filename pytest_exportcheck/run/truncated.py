"""Truncated programs: one that returns inner values, and one that is a single operation, which is given recorded values."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import OutputKind, OutputSpec, TensorArgument
from torch.fx import Node

from pytest_exportcheck.bundles.reduction.cuts import replace_by_recorded
from pytest_exportcheck.bundles.reduction.draft import Candidate, Draft
from pytest_exportcheck.bundles.reduction.recorded import Recording
from pytest_exportcheck.records import Inputs

_OUTPUT = OutputSpec(OutputKind.USER_OUTPUT, TensorArgument(""), None)


def truncated(
    program: ExportedProgram, call: Inputs, state: Mapping[str, torch.Tensor], names: Sequence[str], *, copies: bool
) -> Candidate:
    """Return a program that begins with a state and returns the values of these nodes. ``copies``: it copies them, because
    a later node may write to them.
    """
    draft = _draft(program, call, state)
    nodes = draft.nodes
    returned = [
        _copy(draft, nodes[name]) if copies or nodes[name].op == "placeholder" else nodes[name] for name in names
    ]
    draft.returns(returned, [_OUTPUT] * len(returned))
    for node in reversed([each for each in draft.graph.nodes if each.op == "call_function"]):
        if node in returned:
            break
        draft.graph.erase_node(node)
    return draft.finished()


def single(
    program: ExportedProgram,
    call: Inputs,
    state: Mapping[str, torch.Tensor],
    names: Sequence[str],
    values: Mapping[str, Any],
) -> Candidate:
    """Return a program of the node that computes the values of these names. What other nodes give it are its inputs."""
    draft = _draft(program, call, state)
    nodes = draft.nodes
    returned = [nodes[name] for name in names]
    kept = {*returned, *(each for node in returned if node.op == "call_function" for each in _source(node))}
    draft.returns(returned, [_OUTPUT] * len(returned))
    rest = [node for node in draft.graph.nodes if node.op == "call_function" and node not in kept]
    replace_by_recorded(draft, rest, Recording((values,), ({},)))
    return draft.finished()


def _source(node: Node) -> list[Node]:
    """Return the node that has several results, of one of them."""
    is_result = node.target is operator.getitem
    return list(node.all_input_nodes[:1]) if is_result else []


def _draft(program: ExportedProgram, call: Inputs, state: Mapping[str, torch.Tensor]) -> Draft:
    draft = Draft(Candidate(program, (call,)))
    draft.flat = True
    draft.keep_call(0, state)
    return draft


def _copy(draft: Draft, node: Node) -> Node:
    place = draft.graph.find_nodes(op="placeholder")[-1] if node.op == "placeholder" else node
    with draft.graph.inserting_after(place):
        made = draft.graph.call_function(torch.ops.aten.clone.default, (node,))
    made.meta = {**node.meta, "val": _cloned(node.meta["val"])}
    return made


def _cloned(val: Any) -> Any:
    with torch.no_grad():
        return val.clone()
