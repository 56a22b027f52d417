"""Tracing: one run of the module on fake values that records every operator, as a graph whose inputs are its state and
its leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from pytest_exportcheck.reference._torch.dynamo import capturing_branches
from pytest_exportcheck.reference._torch.tracing import (
    TracingContext,
    enable_python_dispatcher,
    exporting,
    make_fx,
    set_stack_root,
    tracing,
    transforms_kept,
    with_state,
)
from pytest_exportcheck.reference._torch.values import FakeTensorMode, pytree
from pytest_exportcheck.reference.exporter.builtin_functions import numbers_as_symbols
from pytest_exportcheck.reference.exporter.inputs import Example
from pytest_exportcheck.reference.exporter.located_errors import (
    data_dependence_located,
    object_errors_located,
    unbacked_sizes,
)
from pytest_exportcheck.reference.exporter.regions import run_by_node
from pytest_exportcheck.reference.exporter.seeds import not_seeded
from pytest_exportcheck.reference.exporter.torch_functions import WatchedFunctions

ROOT = "exported"


@dataclass(frozen=True)
class Traced:
    """``module`` takes the state, then the leaves, flat, and returns the flat outputs."""

    module: torch.fx.GraphModule
    out_spec: pytree.TreeSpec


def trace(
    module: torch.nn.Module,
    example: Example,
    mode: FakeTensorMode,
    state: Mapping[str, torch.Tensor],
    leaves: list[Any],
    function: Callable[..., Any] | None = None,
) -> Traced:
    """Run the module on fakes and record the graph. Module stacks have the module under :data:`ROOT`. ``function``
    calls the module, where it is not called as it is.
    """
    out_specs: list[pytree.TreeSpec] = []
    root = torch.nn.Module()  # a module that is read as an attribute is distinguished by its path, as submodules are
    root.register_module(ROOT, module)

    def run(*flat: Any) -> tuple[Any, ...]:
        args, kwargs = pytree.tree_unflatten(flat[len(state) :], example.in_spec)
        with with_state(module, dict(zip(state, flat, strict=False))):
            buffers = dict(module.named_buffers(remove_duplicate=False))
            outputs, spec = pytree.tree_flatten(
                function(module, args, kwargs) if function else _call(getattr(root, ROOT), args, kwargs)
            )
            _write_back(module, buffers)
        out_specs.append(spec)
        return tuple(outputs)

    set_stack_root(run, root)
    with ExitStack() as stack:
        for context in (
            mode,
            exporting(),
            tracing(TracingContext(mode)),
            capturing_branches(),
            numbers_as_symbols(),
            _grad_mode_kept(),
            transforms_kept(),
            data_dependence_located(unbacked_sizes(example, leaves)),
            object_errors_located(),
            not_seeded(),
            WatchedFunctions(),
            enable_python_dispatcher(),
        ):
            stack.enter_context(context)
        graph = make_fx(run, record_module_stack=True, pre_dispatch=True)(*state.values(), *leaves)
    _complete_stacks(graph.graph, module)
    return Traced(graph, out_specs[-1])


def _call(module: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Call the module; a graph is run node by node, so that the metadata of its nodes is copied to the new ones."""
    if not isinstance(module, torch.fx.GraphModule):
        return module(*args, **kwargs)
    with torch.fx.traceback.preserve_node_meta():
        return _Rerun(module).run(*args, *kwargs.values())


class _Rerun(torch.fx.Interpreter):
    """An interpreter that also runs the nodes of regions one by one, so that each has its own module stack and line."""

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        args = tuple(run_by_node(target, each, lambda graph: _Rerun(graph).run) for each in args)
        return super().call_function(target, args, kwargs)


def _write_back(module: torch.nn.Module, before: Mapping[str, torch.Tensor]) -> None:
    """Copy the new value into a buffer that was reassigned: the graph can represent a mutation only."""
    for name, value in module.named_buffers(remove_duplicate=False):
        if name in before and value is not before[name]:
            before[name].copy_(value)


def _complete_stacks(graph: torch.fx.Graph, module: torch.nn.Module) -> None:
    """Give calls outside of any module the root's stack: those of a graph without stacks, and those that write buffers
    back, which get the stack and the line of the value that they write.
    """
    root = {ROOT: (ROOT, f"{type(module).__module__}.{type(module).__qualname__}")}
    for node in graph.find_nodes(op="call_function", target=torch.ops.aten.copy_.default):
        if not node.meta.get("nn_module_stack"):
            meta = node.args[1].meta
            node.meta |= {key: meta[key] for key in ("stack_trace", "torch_fn", "nn_module_stack") if key in meta}
    for node in graph.nodes:
        if not node.meta.get("nn_module_stack"):
            node.meta["nn_module_stack"] = root


@contextmanager
def _grad_mode_kept() -> Iterator[None]:
    before = torch.is_grad_enabled()
    try:
        yield
    finally:
        torch.set_grad_enabled(before)
