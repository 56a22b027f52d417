"""Edits of programs that keep them in order: whatever a fault does not mean to break stays consistent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, InputSpec, OutputKind, OutputSpec, TensorArgument
from torch.fx import Graph, GraphModule, Node
from torch.fx.node import Argument

from pytest_exportcheck.describe.freeze import target_text

aten = torch.ops.aten


def calls(graph: Graph, target: str) -> list[Node]:
    """The calls of the operators whose name begins with ``target``, in order."""
    return [node for node in graph.nodes if node.op == "call_function" and target_text(node.target).startswith(target)]


def call(program: ExportedProgram, target: str, number: int = 0) -> Node:
    return calls(program.graph, target)[number]


def placeholder(program: ExportedProgram, name: str) -> Node:
    return next(node for node in program.graph.nodes if node.op == "placeholder" and node.name == name)


def output(program: ExportedProgram) -> Node:
    return program.graph.output_node()


def returned(program: ExportedProgram) -> list[Argument]:
    """The values of the graph's outputs."""
    values = output(program).args[0]
    assert isinstance(values, tuple | list)
    return list(values)


def subgraphs(program: ExportedProgram) -> list[GraphModule]:
    """The graphs that nodes are given, in order."""
    fetched = [node.target for node in program.graph.nodes if node.op == "get_attr"]
    return [getattr(program.graph_module, name) for name in fetched]


def insert_after(node: Node, target: Any, *args: Any, **kwargs: Any) -> Node:
    """A new call behind a node, with its provenance and a ``val`` that is right."""
    with node.graph.inserting_after(node):
        return _call_like(node, target, args, kwargs)


def insert_before(node: Node, target: Any, *args: Any, **kwargs: Any) -> Node:
    """A new call before a node, with its provenance and a ``val`` that is right."""
    with node.graph.inserting_before(node):
        return _call_like(node, target, args, kwargs)


def _call_like(node: Node, target: Any, args: Any, kwargs: Any) -> Node:
    made = node.graph.call_function(target, args, kwargs)
    made.meta = {key: value for key, value in node.meta.items() if key not in _OF_THE_VALUE}
    made.meta["val"] = computed(target, args, kwargs)
    return made


_OF_THE_VALUE = ("val", "tensor_meta", "unbacked_bindings")


def computed(target: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
    """What a call yields, as metadata says it."""
    with torch.no_grad():
        return target(*_vals(args), **_vals(dict(kwargs)))


def _vals(tree: Any) -> Any:
    return torch.fx.node.map_arg(tree, lambda node: node.meta["val"])


def follow(program: ExportedProgram, node: Node, target: Any, *args: Any, **kwargs: Any) -> Node:
    """Apply an operator to a node's value, for all who use it."""
    made = insert_after(node, target, node, *args, **kwargs)
    use_instead(program, node, made)
    return made


def use_instead(program: ExportedProgram, old: Node, new: Node) -> None:
    """Let the users of a node that come after another one, and the outputs, use that one."""
    old.replace_all_uses_with(new, delete_user_cb=lambda user: user > new)
    specs = program.graph_signature.output_specs
    specs[:] = [
        replace(spec, arg=replace(spec.arg, name=new.name)) if getattr(spec.arg, "name", None) == old.name else spec
        for spec in specs
    ]


def call_instead(program: ExportedProgram, node: Node, target: Any, *args: Any, **kwargs: Any) -> Node:
    """Another call in a node's place and under its name."""
    made = insert_after(node, target, *args, **kwargs)
    name = node.name
    use_instead(program, node, made)
    node.graph.erase_node(node)
    rename(program, made, name)
    return made


def rename(program: ExportedProgram, node: Node, name: str) -> None:
    """Another name, in the signature too."""
    old = node.name
    node.name = name
    if node.op == "placeholder":
        node.target = name
    for specs in (program.graph_signature.input_specs, program.graph_signature.output_specs):
        specs[:] = [
            replace(spec, arg=replace(spec.arg, name=name)) if getattr(spec.arg, "name", None) == old else spec
            for spec in specs
        ]


def set_argument(node: Node, place: int, value: Any) -> None:
    args = list(node.args)
    args[place] = value
    node.args = tuple(args)


def set_output(program: ExportedProgram, place: int, value: Any) -> None:
    """Another value of the graph's outputs."""
    values = returned(program)
    values[place] = value
    output(program).args = (tuple(values),)


def drop_output(program: ExportedProgram, place: int) -> None:
    """One output of the graph less, in the signature too."""
    values = returned(program)
    del values[place], program.graph_signature.output_specs[place]
    output(program).args = (tuple(values),)


def reshape_output(program: ExportedProgram, change: Callable[[Any], Any]) -> None:
    """Return the outputs in another structure; they follow their leaves."""
    signature = program.module_call_graph[0].signature
    spec = signature.out_spec
    changed = change(pytree.tree_unflatten(list(range(spec.num_leaves)), spec))
    order = [int(leaf) for leaf in pytree.tree_leaves(changed)]
    values, specs = returned(program), list(program.graph_signature.output_specs)
    first = len(values) - spec.num_leaves  # mutations come before the user's outputs
    output(program).args = ((*values[:first], *(values[first + place] for place in order)),)
    program.graph_signature.output_specs[:] = [*specs[:first], *(specs[first + place] for place in order)]
    signature.out_spec = pytree.tree_structure(changed)


def reshape_input(program: ExportedProgram, change: Callable[[Any, Any], Any]) -> None:
    """Let the program expect its arguments in another structure."""
    signature = program.module_call_graph[0].signature
    args, kwargs = pytree.tree_unflatten([0] * signature.in_spec.num_leaves, signature.in_spec)
    signature.in_spec = pytree.tree_structure(change(args, kwargs))


def input_spec(program: ExportedProgram, target: str) -> InputSpec:
    return next(spec for spec in program.graph_signature.input_specs if spec.target == target)


def swap_inputs(program: ExportedProgram, one: str, other: str) -> None:
    """Two inputs in each other's place, in the graph too."""
    specs = program.graph_signature.input_specs
    names = [spec.arg.name for spec in specs]
    first, second = names.index(one), names.index(other)
    specs[first], specs[second] = specs[second], specs[first]
    left, right = placeholder(program, one), placeholder(program, other)
    before = left.prev
    right.append(left)
    before.append(right)


def output_specs(program: ExportedProgram, kind: OutputKind) -> list[OutputSpec]:
    return [spec for spec in program.graph_signature.output_specs if spec.kind is kind]


def lift(program: ExportedProgram, name: str, value: torch.Tensor) -> Node:
    """A new constant of the program, as the first of its inputs."""
    first = next(iter(program.graph.nodes))
    with program.graph.inserting_before(first):
        made = program.graph.placeholder(f"c_{name}")
    mode = next(
        node.meta["val"].fake_mode for node in program.graph.nodes if hasattr(node.meta.get("val"), "fake_mode")
    )
    made.meta["val"] = mode.from_tensor(value)
    spec = InputSpec(InputKind.CONSTANT_TENSOR, TensorArgument(made.name), name)
    program.graph_signature.input_specs.insert(0, spec)
    program.constants[name] = value
    return made


def set_state(program: ExportedProgram, name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Another tensor in the place of one of the state; the old one is left alone, for other programs share it."""
    held = program.state_dict if name in program.state_dict else program.constants
    old = held[name]
    with torch.no_grad():
        new = change(old)
    held[name] = (
        torch.nn.Parameter(new, requires_grad=old.requires_grad)
        if _is_parameter(old) and not _is_parameter(new)
        else new
    )


def _is_parameter(tensor: torch.Tensor) -> bool:
    return isinstance(tensor, torch.nn.Parameter)


def next_float(tensor: torch.Tensor) -> torch.Tensor:
    """The next larger number of the dtype, for every element."""
    return torch.nextafter(tensor.detach(), torch.full_like(tensor, torch.inf))


def faked(val: Any, *, shape: Any = None, stride: Any = None, dtype: Any = None, device: Any = None) -> Any:
    """A fake tensor like another, except for what is given."""
    given = tuple(val.shape if shape is None else shape)
    with val.fake_mode:
        kind, place = dtype or val.dtype, device or val.device
        if stride is None:
            return torch.empty(given, dtype=kind, device=place)
        return torch.empty_strided(given, stride, dtype=kind, device=place)
