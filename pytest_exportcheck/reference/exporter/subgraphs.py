"""Subgraphs: the graphs that higher-order operators call. Their placeholders have the names of the operands, and the
tensors that they hold become operands.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch

from pytest_exportcheck.reference._torch.tracing import NOTES_OF_DYNAMO
from pytest_exportcheck.reference._torch.values import FakeTensor, FakeTensorMode
from pytest_exportcheck.reference.exporter.placeholders import rename

#: Higher-order operator -> from the arguments of a call, the operands after which torch names the placeholders of the
#: subgraphs. The subgraphs of other operators keep the names from tracing.
_NAMES: Mapping[str, Callable[..., Any]] = {
    "cond": lambda *args: args[3],
    "map_impl": lambda *args: (*args[1], *args[2]),
    "wrap_with_set_grad_enabled": lambda *args: args[2:],
}
#: Higher-order operator -> the place of the argument with the operands that all its subgraphs take last.
_LAST_OPERANDS: Mapping[str, int] = {
    "cond": 3,
    "map_impl": 2,
    "while_loop": 3,
    "scan": 3,
    "switch": 2,
    "hints_wrapper": 1,
    "strict_mode": 1,
}


def graphs_of(module: torch.nn.Module, nodes: Iterable[torch.fx.Node]) -> Iterator[tuple[str, torch.fx.GraphModule]]:
    """Yield the names of the graphs that nodes read from a module, and the graphs."""
    for node in nodes:
        held = getattr(module, str(node.target), None) if node.op == "get_attr" else None
        if isinstance(held, torch.fx.GraphModule):
            yield str(node.target), held


def name_subgraph_inputs(module: torch.fx.GraphModule) -> None:
    """Name the placeholders of subgraphs after their operands, at all levels. They have no provenance."""
    for call in module.graph.nodes:
        for _, subgraph in graphs_of(module, call.all_input_nodes):
            placeholders = subgraph.graph.find_nodes(op="placeholder")
            if operands_of := _NAMES.get(str(call.target)):
                pairs = zip(placeholders, operands_of(*call.args), strict=True)
                rename(subgraph.graph, {inner: each.name for inner, each in pairs if isinstance(each, torch.fx.Node)})
            for node in (*placeholders, subgraph.graph.output_node()):
                node.meta.pop("nn_module_stack", None)
                node.meta.pop("stack_trace", None)
                custom = node.meta.pop("custom", {})
                kept = {key: each for key, each in custom.items() if not key.startswith(NOTES_OF_DYNAMO)}
                node.meta |= {"custom": kept} if kept else {}
            name_subgraph_inputs(subgraph)
            subgraph.recompile()


def lift_from_subgraphs(
    module: torch.fx.GraphModule, mode: FakeTensorMode, inputs: Mapping[int, torch.fx.Node]
) -> None:
    """Make the tensors that subgraphs hold operands of the calls: a file holds tensors for the outermost graph only.
    ``inputs`` are the placeholders by the identities of their fakes, which a function that is traced may close over.
    """
    for call in list(module.graph.nodes):
        subgraphs = [subgraph for _, subgraph in graphs_of(module, call.all_input_nodes)]
        for subgraph in subgraphs:
            lift_from_subgraphs(subgraph, mode, {})
        held = {id(value): value for subgraph in subgraphs for _, value in _tensors(subgraph)}
        place = _LAST_OPERANDS.get(str(call.target))
        if not held or place is None:
            continue
        with module.graph.inserting_before(call):
            operands = [inputs[key] if key in inputs else _read(module, each, call) for key, each in held.items()]
        before: Any = call.args[place]
        call.update_arg(place, before + type(before)(operands))
        for subgraph in subgraphs:
            _take(subgraph, held.values(), mode)


def _tensors(module: torch.fx.GraphModule) -> Iterator[tuple[torch.fx.Node, torch.Tensor]]:
    """Yield the nodes that read a tensor, and the tensors."""
    for node in module.graph.find_nodes(op="get_attr"):
        value = getattr(module, str(node.target))
        if isinstance(value, torch.Tensor):
            yield node, value


def _read(module: torch.fx.GraphModule, value: torch.Tensor, call: torch.fx.Node) -> torch.fx.Node:
    """Return a node that reads a tensor, made where the graph inserts."""
    name = next(name for name in map("_lifted_{}".format, itertools.count()) if not hasattr(module, name))
    module.register_buffer(name, value)
    node = module.graph.get_attr(name)
    node.meta |= {key: call.meta[key] for key in ("nn_module_stack", "stack_trace") if key in call.meta}
    return node


def _take(module: torch.fx.GraphModule, values: Iterable[torch.Tensor], mode: FakeTensorMode) -> None:
    """Give a subgraph a placeholder for each of the tensors."""
    placeholders: dict[int, torch.fx.Node] = {}
    with module.graph.inserting_before(next(node for node in module.graph.nodes if node.op != "placeholder")):
        for value in values:
            placeholder = module.graph.placeholder("lifted")
            placeholder.target = placeholder.name
            is_fake = isinstance(value, FakeTensor)
            placeholder.meta["val"] = value if is_fake else mode.from_tensor(value, static_shapes=True)
            placeholders[id(value)] = placeholder
    for node, value in list(_tensors(module)):
        node.replace_all_uses_with(placeholders[id(value)])
        module.graph.erase_node(node)
        if hasattr(module, str(node.target)):
            delattr(module, str(node.target))
    module.recompile()
