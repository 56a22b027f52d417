"""Runs a program node by node on its example inputs, and writes down what each node yielded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch.export.graph_signature import InputKind

from pytest_exportcheck.describe.freeze import tensor_value
from pytest_exportcheck.describe.symbols import Symbols
from pytest_exportcheck.records import Inputs
from pytest_exportcheck.tensors import copy_tree, detached_clone


def run_nodes(program: torch.export.ExportedProgram, call: Inputs) -> dict[str, Any]:
    """What each call node of the outermost graph yields: ``TensorValue``, a number, or a tuple of such, by node name.

    Buffers, constants and inputs are copies; parameters too where a node may write to them. A program that cannot be
    run this way (its own call raises as well) has what was reached before.
    """
    recorder = _Recorder(program.graph_module)
    try:
        with torch.no_grad():
            recorder.run(*_inputs(program, call))
    except Exception:  # the observation of the program's own call reports it
        pass
    return recorder.yielded


class _Recorder(torch.fx.Interpreter):
    """Keeps facts, not values."""

    def __init__(self, module: torch.fx.GraphModule) -> None:
        super().__init__(module)
        self.yielded: dict[str, Any] = {}
        self._symbols = Symbols()

    def run_node(self, n: torch.fx.Node) -> Any:
        result = super().run_node(n)
        if n.op == "call_function":
            self.yielded[n.name] = _facts(result, self._symbols)
        return result


def _facts(value: Any, symbols: Symbols) -> Any:
    if isinstance(value, torch.Tensor):
        return tensor_value(value, symbols)
    if isinstance(value, (list, tuple)):
        return tuple(_facts(each, symbols) for each in value)
    return value if type(value) in (int, float, bool) else None


def _inputs(program: torch.export.ExportedProgram, call: Inputs) -> list[Any]:
    args, kwargs = copy_tree((call.args, dict(call.kwargs)))
    user = iter(_flat_inputs(program, args, kwargs))
    copied = _writes(program)
    values: list[Any] = []
    for spec in program.graph_signature.input_specs:
        if spec.kind is InputKind.USER_INPUT:
            values.append(next(user))
        elif spec.kind is InputKind.TOKEN:
            values.append(torch.empty(0))
        else:
            values.append(_held(program, spec, copied))
    return values


def _held(program: torch.export.ExportedProgram, spec: Any, copied: bool) -> Any:
    value = program.state_dict.get(spec.target, program.constants.get(spec.target))
    if isinstance(value, torch.Tensor) and (copied or spec.kind is not InputKind.PARAMETER):
        return detached_clone(value)
    return value


def _flat_inputs(program: torch.export.ExportedProgram, args: Any, kwargs: Mapping[str, Any]) -> list[Any]:
    """The leaves of the arguments in the program's own order of keywords."""
    spec = program.call_spec.in_spec
    order = pytree.tree_unflatten([0] * spec.num_leaves, spec)[1] if spec is not None else kwargs
    ordered = {name: kwargs[name] for name in order if name in kwargs}
    leaves: list[Any] = pytree.tree_leaves((args, {**ordered, **{k: v for k, v in kwargs.items() if k not in ordered}}))
    return leaves


def _writes(program: torch.export.ExportedProgram) -> bool:
    """Whether a node says that it may write to what it is given."""
    return any(
        isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable
        for node in program.graph.nodes
        if node.op == "call_function"
    )
