"""The pieces put together: a signature over the graph's inputs and outputs, and the program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.export import ExportedProgram, ModuleCallEntry, ModuleCallSignature
from torch.export.graph_signature import (
    ConstantArgument,
    CustomObjArgument,
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

from pytest_exportcheck.reference._torch.objects import is_script_object
from pytest_exportcheck.reference._torch.values import TrainingIRVerifier
from pytest_exportcheck.reference.exporter.inputs import Example
from pytest_exportcheck.reference.exporter.module_state import State
from pytest_exportcheck.reference.exporter.objects import is_object
from pytest_exportcheck.reference.exporter.placeholders import rename, state_name

#: Class of values -> the argument that names a node of such a value.
_ARGUMENTS: Mapping[type, Any] = {
    torch.Tensor: TensorArgument,
    torch.SymInt: SymIntArgument,
    torch.SymFloat: SymFloatArgument,
    torch.SymBool: SymBoolArgument,
}


@dataclass(frozen=True)
class Slot:
    """One input of the graph: its kind, its value, and ``name``, the wanted name of its placeholder."""

    kind: InputKind
    name: str
    value: Any
    target: str | None = None
    persistent: bool | None = None


def slots_of(state: State, constants: Mapping[str, Any], example: Example) -> list[Slot]:
    """Return the slots in the order of the graph's inputs."""
    return [
        *(Slot(InputKind.PARAMETER, state_name("p_", name), value, name) for name, value in state.parameters.items()),
        *(
            Slot(InputKind.BUFFER, state_name("b_", name), value, name, name not in state.not_persistent)
            for name, value in state.buffers.items()
        ),
        *(constant_slot(name, value) for name, value in constants.items()),
        *(Slot(InputKind.USER_INPUT, leaf.name, leaf.value) for leaf in example.leaves),
    ]


def constant_slot(name: str, value: Any) -> Slot:
    """Return the slot of a constant: a tensor or an object."""
    kind, prefix = (InputKind.CUSTOM_OBJ, "obj_") if is_object(value) else (InputKind.CONSTANT_TENSOR, "c_")
    return Slot(kind, state_name(prefix, name), value, name)


def dress_inputs(graph: torch.fx.Graph, slots: Sequence[Slot]) -> None:
    """Name the placeholders, those of the user's inputs first; a placeholder requires a gradient where its value
    does.
    """
    pairs = list(zip(graph.find_nodes(op="placeholder"), slots, strict=True))
    users_first = sorted(pairs, key=lambda pair: pair[1].kind is not InputKind.USER_INPUT)
    rename(graph, {node: slot.name for node, slot in users_first})
    for node, slot in pairs:
        val = node.meta.get("val")
        if isinstance(val, torch.Tensor) and isinstance(slot.value, torch.Tensor) and val.is_leaf:
            val.requires_grad_(slot.value.requires_grad)
        if isinstance(val, CustomObjArgument):
            node.meta["val"] = replace(val, name=node.name)


def signature_of(graph: torch.fx.Graph, slots: Sequence[Slot]) -> ExportGraphSignature:
    """Return the graph signature: the slots as inputs, and the outputs of the graph."""
    inputs = [
        InputSpec(slot.kind, argument_of(node), slot.target, slot.persistent)
        for node, slot in zip(graph.find_nodes(op="placeholder"), slots, strict=True)
    ]
    returned: Any = graph.output_node().args[0]
    outputs = [OutputSpec(OutputKind.USER_OUTPUT, argument_of(each), None) for each in returned]
    return ExportGraphSignature(inputs, outputs)


def argument_of(value: Any) -> Any:
    """Return the argument by which a signature names a node, or a constant."""
    if not isinstance(value, torch.fx.Node):
        return ConstantArgument("", value)
    val = value.meta.get("val")
    if isinstance(val, CustomObjArgument):
        return replace(val, name=value.name)
    found = next((argument for kind, argument in _ARGUMENTS.items() if isinstance(val, kind)), None)
    return ConstantArgument(value.name, val) if found is None else found(value.name)


def program_of(
    module: torch.fx.GraphModule,
    signature: ExportGraphSignature,
    state: State,
    constants: Mapping[str, Any],
    ranges: Mapping[Any, Any],
    example: Example,
    out_spec: Any,
    calls: Mapping[str, ModuleCallEntry],
) -> ExportedProgram:
    """Return the program; ``calls`` are those of submodules whose signatures are kept, by name."""
    call = ModuleCallSignature(
        inputs=[], outputs=[], in_spec=example.in_spec, out_spec=out_spec, forward_arg_names=example.forward_arg_names
    )
    users = [spec.arg.name for spec in signature.input_specs if spec.kind is InputKind.USER_INPUT]
    given = {name: leaf.value for name, leaf in zip(users, example.leaves, strict=True) if is_script_object(leaf.value)}
    lifted = {id(value) for value in constants.values()}
    held: dict[str, Any] = {name: each for name, each in state.buffers.items() if name in state.not_persistent}
    held |= {name: value for name, value in state.constants.items() if id(value) in lifted}  # under each of its names
    return ExportedProgram(
        root=module,
        graph=module.graph,
        graph_signature=signature,
        state_dict=state.state_dict,
        range_constraints=dict(ranges),
        module_call_graph=[
            ModuleCallEntry("", call),
            *(calls.get(path, ModuleCallEntry(path)) for path in state.modules if path),
            *(entry for name, entry in calls.items() if name not in state.modules),
        ],
        example_inputs=(example.args, example.kwargs),
        constants={**given, **held, **constants},
        verifiers=[TrainingIRVerifier],
    )
