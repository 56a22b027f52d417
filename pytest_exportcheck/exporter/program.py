"""The pieces put together: a signature over the graph's inputs and outputs, and the program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.export import ExportedProgram, ModuleCallEntry, ModuleCallSignature
from torch.export.graph_signature import (
    ConstantArgument,
    ExportGraphSignature,
    InputKind,
    InputSpec,
    OutputKind,
    OutputSpec,
    SymBoolArgument,
    SymFloatArgument,
    SymIntArgument,
    TensorArgument,
)

from pytest_exportcheck.exporter.inputs import Example
from pytest_exportcheck.exporter.naming import rename, state_name
from pytest_exportcheck.exporter.state import State

_SYMBOLIC = {torch.SymInt: SymIntArgument, torch.SymFloat: SymFloatArgument, torch.SymBool: SymBoolArgument}


def name_inputs(graph: torch.fx.Graph, state: State, constants: Sequence[str], example: Example) -> None:
    placeholders = [node for node in graph.nodes if node.op == "placeholder"]
    inputs = placeholders[-len(example.leaves) :] if example.leaves else []
    wanted = {node: leaf.name for node, leaf in zip(inputs, example.leaves, strict=True)}
    kinds = [
        *(("parameter", name) for name in state.parameters),
        *(("buffer", name) for name in state.buffers),
        *(("constant", name) for name in constants),
    ]
    wanted |= {node: state_name(*each) for node, each in zip(placeholders, kinds, strict=False)}
    rename(graph, wanted, inputs)


def mark_gradients(graph: torch.fx.Graph, values: Sequence[Any]) -> None:
    """The placeholders require a gradient where the values that they stand for do."""
    placeholders = [node for node in graph.nodes if node.op == "placeholder"]
    for node, value in zip(placeholders, values, strict=True):
        val = node.meta.get("val")
        if isinstance(val, torch.Tensor) and isinstance(value, torch.Tensor) and val.is_leaf:
            val.requires_grad_(value.requires_grad)


def signature_of(
    graph: torch.fx.Graph, state: State, constants: Sequence[str], example: Example
) -> ExportGraphSignature:
    placeholders = [node for node in graph.nodes if node.op == "placeholder"]
    kinds = [
        *((InputKind.PARAMETER, name, None) for name in state.parameters),
        *((InputKind.BUFFER, name, name not in state.not_persistent) for name in state.buffers),
        *((InputKind.CONSTANT_TENSOR, name, None) for name in constants),
        *((InputKind.USER_INPUT, None, None) for _ in example.leaves),
    ]
    inputs = [
        InputSpec(kind, _argument(node, node.meta.get("val")), target, persistent)
        for node, (kind, target, persistent) in zip(placeholders, kinds, strict=True)
    ]
    output = next(iter(reversed(graph.nodes)))
    outputs = [
        OutputSpec(
            OutputKind.USER_OUTPUT,
            _argument(each, each.meta.get("val")) if isinstance(each, torch.fx.Node) else ConstantArgument("", each),
            None,
        )
        for each in output.args[0]
    ]
    return ExportGraphSignature(inputs, outputs)


def _argument(node: torch.fx.Node, val: Any) -> Any:
    if isinstance(val, torch.Tensor):
        return TensorArgument(node.name)
    for kind, argument in _SYMBOLIC.items():
        if isinstance(val, kind):
            return argument(node.name)
    return ConstantArgument(node.name, val)


def program_of(
    module: torch.fx.GraphModule,
    signature: ExportGraphSignature,
    state: State,
    constants: Mapping[str, Any],
    ranges: Mapping[Any, Any],
    example: Example,
    out_spec: Any,
) -> ExportedProgram:
    from torch._export.verifier import TrainingIRVerifier  # noqa: TID251 -- programs are checked by torch's verifier

    call = ModuleCallSignature(
        inputs=[], outputs=[], in_spec=example.in_spec, out_spec=out_spec, forward_arg_names=example.forward_arg_names
    )
    lifted = {id(value) for value in constants.values()}
    held = {name: state.buffers[name] for name in state.not_persistent}
    held |= {name: value for name, value in state.constants.items() if id(value) in lifted}  # under each of its names
    return ExportedProgram(
        root=module,
        graph=module.graph,
        graph_signature=signature,
        state_dict=dict(state.state_dict),
        range_constraints=dict(ranges),
        module_call_graph=[ModuleCallEntry(path, None if path else call) for path in state.modules],
        example_inputs=(example.args, example.kwargs),
        constants={**held, **constants},
        verifiers=[TrainingIRVerifier],
    )
