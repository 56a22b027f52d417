"""What is written beside the nodes: provenance of calls, and none of inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from pytest_exportcheck.reference._torch.values import PROFILER_MARKS
from pytest_exportcheck.reference.exporter.trace import ROOT

_SELF = "L__self__"
#: Nothing to a program: an unused detach, and what a profiler is told.
_EFFECTLESS = (
    torch.ops.aten.detach.default,
    *PROFILER_MARKS,
)


def tidy(module: torch.fx.GraphModule, leaves: Sequence[Any]) -> None:
    """Drop calls that nobody uses and that do nothing, and give every call a module stack in the usual form; ``leaves`` are
    the values of the last placeholders."""
    graph = module.graph
    placeholders = graph.find_nodes(op="placeholder")
    for node, value in zip(reversed(placeholders), reversed(leaves), strict=False):
        if not isinstance(value, torch.Tensor):
            node.meta["val"] = value
    graph.eliminate_dead_code(lambda node: not (node.op == "call_function" and node.target in _EFFECTLESS))
    for node in graph.nodes:
        if node.op in ("placeholder", "output"):
            node.meta.pop("nn_module_stack", None)
            node.meta.pop("stack_trace", None)
        elif "nn_module_stack" in node.meta:
            node.meta["nn_module_stack"] = dict(_stack(node.meta["nn_module_stack"]))
        if node.op == "call_function" and "val" not in node.meta and not node.users:
            node.meta["val"] = None


def _stack(traced: Mapping[str, tuple[str, str]]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Keys as torch spells them, paths from the exported module on. What a graph that is traced again has of the kind stays."""
    for key, (path, kind) in traced.items():
        if key.startswith(_SELF):
            yield key, (path, kind)
        elif key:
            yield _SELF + inside(key), (inside(path), kind)


def inside(path: str) -> str:
    """A path as seen from the exported module."""
    return path.removeprefix(ROOT).removeprefix(".")
