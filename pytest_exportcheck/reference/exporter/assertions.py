"""Runtime assertions: conditions that must hold at run time and could not be decided while tracing, written into the
graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy
import torch
from torch.fx.passes.runtime_assert import insert_deferred_runtime_asserts

from pytest_exportcheck.reference._torch.sizes import ShapeEnv, input_bindings, is_unbacked, unbacked_bindings
from pytest_exportcheck.reference._torch.values import ASSERT_TENSOR_METADATA, on_new_nodes

_CASTS = (torch.ops.aten.to.device, torch.ops.aten.to.dtype, torch.ops.aten.to.dtype_layout)
_MADE_HERE = 'File "pytest_exportcheck/reference/exporter/assertions.py", in insert_assertions'


def insert_assertions(module: torch.fx.GraphModule, env: ShapeEnv) -> None:
    """Insert the deferred assertions about sizes, and an assertion of the metadata of each tensor that is cast: a cast
    that did nothing while tracing gives the tensor itself, and a cast that does something gives a copy.
    """
    for node in module.graph.find_nodes(op="placeholder"):
        found = input_bindings(node.meta.get("val"), env)
        if found:  # the sizes of a specification: their assertions come after the inputs
            node.meta["unbacked_bindings"] = found
    with on_new_nodes(module, _provenance(module.graph)):
        insert_deferred_runtime_asserts(module, env, "exported program", export=True)
    for node in module.graph.nodes:
        if node.target in _CASTS and node.prev.target is not ASSERT_TENSOR_METADATA:
            _assert_metadata(module.graph, node)
    _bind_unbacked(module.graph, env)


def _assert_metadata(graph: torch.fx.Graph, cast: torch.fx.Node) -> None:
    val = cast.args[0].meta["val"]  # type: ignore[union-attr]
    with graph.inserting_before(cast):
        node = graph.call_function(
            ASSERT_TENSOR_METADATA, (cast.args[0],), {"dtype": val.dtype, "device": val.device, "layout": val.layout}
        )
    node.meta |= {key: cast.meta[key] for key in ("stack_trace", "nn_module_stack") if key in cast.meta}
    node.meta |= {
        "val": None,
        "torch_fn": ("_assert_tensor_metadata.default_0", "OpOverload._assert_tensor_metadata.default"),
    }


def _bind_unbacked(graph: torch.fx.Graph, env: ShapeEnv) -> None:
    """Record at each node the unbacked symbols that this node yields first."""
    pending = {
        symbol
        for symbol in env.var_to_range  # torch's loader has expressions among them
        if isinstance(symbol, sympy.Symbol) and is_unbacked(symbol) and symbol not in env.unbacked_renamings
    }
    for node in graph.nodes:
        node.meta.pop("unbacked_bindings", None)
        val = node.meta.get("val")
        found = None if val is None else unbacked_bindings(val, env, pending)
        if found:
            node.meta["unbacked_bindings"] = found


def _provenance(graph: torch.fx.Graph) -> Callable[[torch.fx.Node], None]:
    """Return a function that gives a new node a module stack, and marks it as created by this exporter."""
    stack: Any = next((node.meta["nn_module_stack"] for node in graph.nodes if "nn_module_stack" in node.meta), {})

    def note(node: torch.fx.Node) -> None:
        args, kwargs = torch.fx.map_arg((node.args, node.kwargs), lambda each: each.meta["val"])
        name = getattr(node.target, "__name__", str(node.target))
        node.meta |= {
            "stack_trace": _MADE_HERE,
            "nn_module_stack": stack,
            "torch_fn": (f"{name}_0", f"{type(node.target).__name__}.{name}"),
            "val": node.target(*args, **kwargs),  # type: ignore[operator]
        }

    return note
