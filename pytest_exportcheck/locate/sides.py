"""One of the two programs that are compared: its nodes as records, and a run of it that stops after every node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch

from pytest_exportcheck.checks.compare.alignment import flat
from pytest_exportcheck.checks.compare.rendering import node_text, user_line
from pytest_exportcheck.describe import graph_inputs, writes_to_arguments
from pytest_exportcheck.harness._torch import FakeTensor
from pytest_exportcheck.harness.tensors import copy_tree
from pytest_exportcheck.locate.nearby import near_node
from pytest_exportcheck.records import GraphRecord, GraphRef, Inputs, NearNode, NodeRecord, OriginNode, ProgramRecord

#: Rows of an origin at most.
MOST_ROWS = 5


@dataclass(frozen=True, eq=False)
class Side:
    """A graph of a program, and its record. ``state`` has the values that earlier calls gave to the state of the
    program, by name; ``path`` is that of the graph, whose ``given`` inputs are those of a call of it in the program, and ``attribute`` the name that the program has for it.
    """

    program: torch.export.ExportedProgram
    record: ProgramRecord
    state: Mapping[str, torch.Tensor] = field(default_factory=dict)
    path: str = ""
    module: torch.fx.GraphModule | None = None
    given: Sequence[Any] = ()
    attribute: str = ""

    @cached_property
    def graph(self) -> GraphRecord:
        """Return the record of the graph."""
        return self.record.graphs[self.path]

    @cached_property
    def nodes(self) -> Mapping[str, NodeRecord]:
        """Return the nodes of the graph by name."""
        return {node.name: node for node in self.graph.nodes}

    @cached_property
    def writes(self) -> bool:
        """Return True if a node of the program may write to its arguments."""
        return writes_to_arguments(self.program)

    def run(self, call: Inputs) -> SteppedRun:
        """Return a run of the graph on a call of the program, which has not begun."""
        if self.module is not None:
            return SteppedRun(self.module, copy_tree(list(self.given)), writes=self.writes)
        return SteppedRun(self.program.graph_module, graph_inputs(self.program, call, self.state), writes=self.writes)

    def inner(self, name: str, call: Inputs) -> dict[str, Side]:
        """Run the graph up to a node that has subgraphs, and return those that it called, on the inputs of their first
        calls, by the argument that holds them.
        """
        run = self.run(call)
        steps = run.steps()
        owner = next(node for node in run.graph.nodes if node.name == name)
        called: dict[str, Side] = {}
        with ExitStack() as hooks:
            for ref in flat((*self.nodes[name].args, *self.nodes[name].kwargs.values())):
                if isinstance(ref, GraphRef):
                    self._watch(ref, owner, run, called, hooks)
            for node, _ in steps:
                if node is owner:
                    break
        return called

    def _watch(
        self, ref: GraphRef, owner: torch.fx.Node, run: SteppedRun, called: dict[str, Side], hooks: ExitStack
    ) -> None:
        """Note the inputs of the first call of a subgraph."""
        key = ref.path.strip("[]")
        fetch = owner.args[int(key)] if key.isdigit() else owner.kwargs.get(key)
        attribute = str(fetch.target) if isinstance(fetch, torch.fx.Node) else ""
        module = getattr(run.module, attribute, None)
        path = f"{self.path}.{owner.name}{ref.path}" if self.path else f"{owner.name}{ref.path}"
        if not isinstance(module, torch.fx.GraphModule) or path not in self.record.graphs:
            return

        def note(_: Any, args: tuple[Any, ...]) -> None:
            if any(isinstance(each, FakeTensor) for each in args):
                return  # the operator looks at what its branches would return
            side = Side(self.program, self.record, self.state, path, module, copy_tree(list(args)), attribute)
            called.setdefault(ref.path, side)

        hooks.callback(module.register_forward_pre_hook(note).remove)

    def near(self, name: str) -> tuple[NearNode, ...]:
        """Return the few nodes around the node of this name; none if the record has no such node."""
        return near_node(self.graph.nodes, name, self.graph.place)

    def named(self, name: str) -> OriginNode | None:
        """Describe the node of this name, or return None if the record has none."""
        node = self.nodes.get(name)
        return None if node is None else origin_node(node, self.graph.place(node))


def origin_node(node: NodeRecord, place: str = "") -> OriginNode:
    """Describe a node for the user. ``place`` is its name after the path of its graph."""
    return OriginNode(
        name=place or node.name,
        operator=node.target if node.op == "call_function" else node.op,
        call=node_text(node) if node.op != "placeholder" else "",
        module=_module_text(node.meta.get("nn_module_stack")),
        line=user_line(node),
    )


def _module_text(stack: Any) -> str:
    """Return the path and the class of the innermost module, from its frozen stack: ``layers.0 (Linear)``."""
    if not isinstance(stack, tuple) or not stack:
        return ""
    innermost = stack[-1][1:] if isinstance(stack[-1], tuple) else ()
    words = [str(part) for part in innermost]
    if not words:
        return ""
    path, kind = words[0], words[-1].rpartition(".")[2]
    return f"{path} ({kind})" if path else kind


class SteppedRun(torch.fx.Interpreter):
    """A run of a graph that the caller drives node by node. ``inputs`` are its own: nodes may write to them."""

    def __init__(self, module: torch.fx.GraphModule, inputs: Sequence[Any], *, writes: bool) -> None:
        super().__init__(module)
        self.inputs = inputs
        self.args_iter = iter(inputs)
        self.current: torch.fx.Node | None = None
        self.returned: Any = None
        self.made_by: dict[Any, torch.fx.Node] = {}
        self._writes = writes

    def steps(self) -> Iterator[tuple[torch.fx.Node, Any]]:
        """Run each node when the next value is asked for, and yield it with its value."""
        for node in self.graph.nodes:
            self.current = node
            value = self.run_node(node)
            self.env[node] = value
            self._note_backward(node, value)
            if node.op == "output":
                self.returned = value
            yield node, value
            for dead in self.user_to_last_uses.get(node, ()):
                self.env.pop(dead, None)

    def _note_backward(self, node: torch.fx.Node, value: Any) -> None:
        """Note which node made the functions that backward will run."""
        pending = [value.grad_fn] if isinstance(value, torch.Tensor) else []
        while pending:
            function = pending.pop()
            if function is not None and function not in self.made_by:
                self.made_by[function] = node
                pending += [parent for parent, _ in function.next_functions]

    def force(self, node: torch.fx.Node, value: Any) -> None:
        """Replace the value of the node that ran last, for the rest of the graph. Where nodes write to tensors, the
        value is copied into the tensor, so that its views see it too.
        """
        mine = self.env[node]
        if not (self._writes and isinstance(mine, torch.Tensor) and isinstance(value, torch.Tensor)):
            self.env[node] = value
            return
        try:
            with torch.no_grad():
                mine.copy_(value)
        except RuntimeError:  # several elements in one place of the storage
            self.env[node] = value
