"""Tracing: one run of the module on fake values that records every operator, as a graph whose inputs are its state and
its leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from pytest_exportcheck.reference._torch import tracing
from pytest_exportcheck.reference._torch.dynamo import capturing_branches
from pytest_exportcheck.reference._torch.values import FakeTensorMode, pytree
from pytest_exportcheck.reference.exporter.builtin_functions import numbers_as_symbols
from pytest_exportcheck.reference.exporter.inputs import Example
from pytest_exportcheck.reference.exporter.located_errors import (
    data_dependence_located,
    object_errors_located,
    unbacked_sizes,
)
from pytest_exportcheck.reference.exporter.objects import is_object, object_argument
from pytest_exportcheck.reference.exporter.regions import run_by_node
from pytest_exportcheck.reference.exporter.torch_functions import watched_functions

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
        with tracing.with_state(module, dict(zip(state, flat, strict=False))):
            buffers = dict(module.named_buffers(remove_duplicate=False))
            outputs, spec = pytree.tree_flatten(
                function(module, args, kwargs) if function else _call(getattr(root, ROOT), args, kwargs)
            )
            _write_back(module, buffers)
        out_specs.append(spec)
        return tuple(outputs)

    tracing.set_stack_root(run, root)
    with (
        mode,
        tracing.exporting(),
        tracing.tracing(tracing.TracingContext(mode)),
        capturing_branches(),
        numbers_as_symbols(),
        torch.set_grad_enabled(torch.is_grad_enabled()),  # restores the mode that the model leaves
        tracing.transforms_kept(),
        data_dependence_located(unbacked_sizes(example, leaves)),
        object_errors_located(),
        watched_functions(),
        tracing.enable_python_dispatcher(),
    ):
        graph = tracing.make_fx(run, record_module_stack=True, pre_dispatch=True)(*state.values(), *leaves)
    for node, leaf, fake in zip(
        graph.graph.find_nodes(op="placeholder")[len(state) :], example.leaves, leaves, strict=True
    ):
        if not isinstance(fake, torch.Tensor):
            node.meta["val"] = object_argument(mode, leaf.value, fake) if is_object(leaf.value) else fake
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
