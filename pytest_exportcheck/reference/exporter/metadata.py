"""Node metadata: calls keep their provenance, and inputs and outputs have none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch

from pytest_exportcheck.reference._torch.values import PROFILER_MARKS
from pytest_exportcheck.reference.exporter.trace import ROOT

_SELF = "L__self__"
#: Calls without an effect in a program: an unused detach, and messages to a profiler.
_EFFECTLESS = (
    torch.ops.aten.detach.default,
    *PROFILER_MARKS,
)


def tidy(graph: torch.fx.Graph, module: torch.nn.Module) -> None:
    """Drop unused calls without effects, and give every call of a module a stack in the usual form. Calls outside of any
    module have the root's. Those that write buffers back have the line of the value that they write, and its stack if
    that module ran last: an unflattened module enters each call of a module once.
    """
    graph.eliminate_dead_code(lambda node: not (node.op == "call_function" and node.target in _EFFECTLESS))
    for node in graph.find_nodes(op="call_function", target=torch.ops.aten.copy_.default):
        if not node.meta.get("nn_module_stack"):
            meta, stack = node.args[1].meta, node.prev.meta.get("nn_module_stack")
            node.meta |= {key: meta[key] for key in ("stack_trace", "torch_fn") if key in meta}
            node.meta |= {"nn_module_stack": stack} if stack and stack == meta.get("nn_module_stack") else {}
    root = {ROOT: (ROOT, f"{type(module).__module__}.{type(module).__qualname__}")}
    for node in graph.nodes:
        if node.op in ("placeholder", "output"):
            node.meta.pop("nn_module_stack", None)
            node.meta.pop("stack_trace", None)
        else:
            node.meta["nn_module_stack"] = dict(_stack(node.meta.get("nn_module_stack") or root))
        if node.op == "call_function" and "val" not in node.meta and not node.users:
            node.meta["val"] = None


def keep_custom(source: torch.nn.Module, module: torch.fx.GraphModule, targets: Sequence[str | None]) -> None:
    """Copy the ``custom`` metadata of a graph that is exported again: that of the whole graph, and that of its inputs
    and state. ``targets`` are the names of the state, in the order of the placeholders. Calls have theirs from the run.
    """
    if not isinstance(source, torch.fx.GraphModule):
        return
    module.meta |= {key: value for key, value in source.meta.items() if key == "custom"}
    known = {
        node.target if node.op == "get_attr" else node.name: node.meta["custom"]
        for node in source.graph.nodes
        if "custom" in node.meta
    }
    for node, target in zip(module.graph.find_nodes(op="placeholder"), targets, strict=True):
        name = target or node.name
        if name in known:
            node.meta["custom"] = {**node.meta.get("custom", {}), **known[name]}


def _stack(traced: Mapping[str, tuple[str, str]]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield keys as torch spells them, with paths from the exported module on. The stack of a graph that is traced
    again is kept.
    """
    for key, (path, kind) in traced.items():
        if key.startswith(_SELF):
            yield key, (path, kind)
        elif key:
            yield _SELF + inside(key), (inside(path), kind)


def inside(path: str) -> str:
    """Return a path as seen from the exported module."""
    return path.removeprefix(ROOT).removeprefix(".")
