"""Regions of another grad mode, and of autocast: their nodes become a graph, which a higher-order operator calls."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from pytest_exportcheck.reference._torch import tracing
from pytest_exportcheck.reference.exporter.subgraphs import graphs_of

_OPERATORS = (tracing.WRAP_SET_GRAD, tracing.WRAP_AUTOCAST)


@dataclass
class Region:
    """Calls, and inner regions, that run under one operator. ``stack`` has the modules whose forward begins the
    region; it is empty where Dynamo begins the region.
    """

    operator: Any
    args: tuple[Any, ...]
    stack: Any = None
    parts: list[torch.fx.Node | Region] = field(default_factory=list)

    def nodes(self) -> Iterator[torch.fx.Node]:
        """Yield the calls of the region and of the regions in it."""
        for part in self.parts:
            if isinstance(part, Region):
                yield from part.nodes()
            else:
                yield part


def wrap_regions(module: torch.fx.GraphModule, grad: bool, preserved: Collection[str] = ()) -> torch.fx.GraphModule:
    """Wrap the regions of a module, in the graphs that it calls too; ``grad`` is the grad mode outside.

    A region has the modules whose forward begins it. One that begins with a call of a submodule in ``preserved``, whose
    call signature is kept, has that submodule: torch's unflatten finds the results of the call there.
    """
    calls = [node for node in module.graph.nodes if node.op not in ("placeholder", "output")]
    if any(node.target in tracing.REGION_MARKS for node in calls):
        return _Wrapper(module, preserved).wrapped(_parse(iter(calls), grad), grad)
    for name, graph in graphs_of(module, calls):
        setattr(module, name, wrap_regions(graph, grad, preserved))
    return module


def run_by_node(target: Any, value: Any, run: Callable[[torch.fx.GraphModule], Any]) -> Any:
    """Return what an operator calls in the place of a graph that is a region or has regions, so that the calls in it are
    run one by one; other values as they are.
    """
    if not isinstance(value, torch.fx.GraphModule):
        return value
    graphs = [part.graph for part in value.modules() if isinstance(part, torch.fx.GraphModule)]
    called = {target, *(node.target for graph in graphs for node in graph.nodes)}
    return value if called.isdisjoint(_OPERATORS) else run(value)


def _parse(calls: Iterator[torch.fx.Node], grad: bool) -> list[torch.fx.Node | Region]:
    """Return the calls and regions up to the end of the region that the calls are in."""
    parts: list[torch.fx.Node | Region] = []
    current = parts
    for node in calls:
        if node.target is tracing.SET_GRAD:
            current = parts
            if node.args[0] != grad:
                region = Region(tracing.WRAP_SET_GRAD, (node.args[0],), node.meta.get("nn_module_stack"))
                parts.append(region)
                current = region.parts
        elif node.target is tracing.ENTER_AUTOCAST:
            inner_grad = grad if current is parts else not grad
            stack = node.meta.get("nn_module_stack")
            current.append(Region(tracing.WRAP_AUTOCAST, node.args, stack, _parse(calls, inner_grad)))
        elif node.target is tracing.EXIT_AUTOCAST:
            break
        else:
            current.append(node)
    return parts


class _Wrapper:
    """A builder of the graph with its regions wrapped; the graph of each region is an attribute."""

    def __init__(self, module: torch.fx.GraphModule, preserved: Collection[str]) -> None:
        self._module = module
        self._preserved = preserved
        self._count = 0

    def wrapped(self, parts: Sequence[torch.fx.Node | Region], grad: bool) -> torch.fx.GraphModule:
        graph = torch.fx.Graph()
        new = {node: graph.node_copy(node) for node in self._module.graph.find_nodes(op="placeholder")}
        self._build(graph, parts, new, self._module, grad)
        graph.node_copy(self._module.graph.output_node(), new.__getitem__)
        made = torch.fx.GraphModule(self._module, graph)
        made.meta |= self._module.meta
        return made

    def _build(self, graph: torch.fx.Graph, parts: Any, new: dict[Any, Any], owner: Any, grad: bool) -> None:
        for part in parts:
            if isinstance(part, Region):
                self._call(graph, part, new, owner, grad)
                continue
            new[part] = graph.node_copy(part, new.__getitem__)
            for name, held in graphs_of(self._module, [part]):
                setattr(owner, name, wrap_regions(held, grad, self._preserved))

    def _call(self, graph: torch.fx.Graph, region: Region, new: dict[Any, Any], owner: Any, grad: bool) -> None:
        inside = dict.fromkeys(region.nodes())
        if not inside:
            return
        inputs = list(dict.fromkeys(each for node in inside for each in node.all_input_nodes if each not in inside))
        outputs = [node for node in inside if any(user not in inside for user in node.users)]
        self._count += 1
        name = f"submod_{self._count}"
        inner_grad = region.args[0] if region.operator is tracing.WRAP_SET_GRAD else grad
        setattr(owner, name, self._graph_of(region, inputs, outputs, inner_grad))
        first: dict[str, Any] = next((n.meta["nn_module_stack"] for n in inside if "nn_module_stack" in n.meta), {})
        is_preserved = any(path.partition("@")[0] in self._preserved for path, _ in first.values())
        stack: dict[str, Any] = {"nn_module_stack": first if not region.stack or is_preserved else region.stack}
        taken = graph.get_attr(name)
        taken.meta |= stack
        call = graph.call_function(region.operator, (*region.args, taken, *(new[each] for each in inputs)))
        call.meta |= stack
        call.meta["torch_fn"] = (call.name, f"{type(region.operator).__name__}.{region.operator.__name__}")
        call.meta["val"] = tuple(node.meta.get("val") for node in outputs)
        for number, node in enumerate(outputs):
            new[node] = graph.call_function(operator.getitem, (call, number))
            new[node].meta |= node.meta

    def _graph_of(self, region: Region, inputs: Any, outputs: Any, grad: bool) -> torch.fx.GraphModule:
        graph, root = torch.fx.Graph(), torch.nn.Module()
        new: dict[torch.fx.Node, torch.fx.Node] = {}
        for node in inputs:
            new[node] = graph.placeholder(node.name)
            new[node].meta |= {key: node.meta[key] for key in ("val", "tensor_meta") if key in node.meta}
        self._build(graph, region.parts, new, root, grad)
        graph.output(tuple(new[node] for node in outputs))
        return torch.fx.GraphModule(root, graph)
