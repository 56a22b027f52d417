"""Tensors that the graph holds become inputs, under the names that the module has for them."""

from __future__ import annotations

from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from pytest_exportcheck.exporter.state import State


def lift_constants(
    module: torch.fx.GraphModule, mode: FakeTensorMode, state: State, lifted: int
) -> dict[str, Any]:
    """Name -> value, in the order of their placeholders, which stand before those of the leaves."""
    graph = module.graph
    names = {id(value): name for name, value in state.constants.items()}
    placeholders = [node for node in graph.nodes if node.op == "placeholder"]
    first_input = placeholders[lifted] if lifted < len(placeholders) else next(n for n in graph.nodes if n.op != "placeholder")
    made: dict[int, torch.fx.Node] = {}
    values: dict[str, Any] = {}
    for node in list(graph.nodes):
        if node.op != "get_attr":
            continue
        value = getattr(module, str(node.target))
        if isinstance(value, torch.fx.GraphModule):
            continue
        if id(value) not in made:
            name = names.get(id(value)) or f"lifted_tensor_{sum(each.startswith('lifted_tensor') for each in values)}"
            with graph.inserting_before(first_input):
                placeholder = graph.placeholder(name.replace(".", "_"))
            placeholder.meta["val"] = mode.from_tensor(value, static_shapes=True)
            made[id(value)], values[name] = placeholder, value
        node.replace_all_uses_with(made[id(value)])
        graph.erase_node(node)
    return values
