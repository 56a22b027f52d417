"""Runtime assertions: conditions that must hold at run time and could not be decided while tracing, written into the
graph.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
    with _provenance(module, _MADE_HERE):
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
        found = None
        if val is not None:
            found = unbacked_bindings(val, env, pending)
        if found:
            node.meta["unbacked_bindings"] = found


@contextmanager
def _provenance(module: torch.fx.GraphModule, stack_trace: str) -> Iterator[None]:
    """Give the nodes that are created inside the context a module stack, and mark them as created by this exporter."""

    def note(node: torch.fx.Node) -> None:
        if node.op != "call_function":
            return
        node.meta.setdefault("stack_trace", stack_trace)
        node.meta.setdefault("nn_module_stack", first)
        node.meta.setdefault(
            "torch_fn", (f"{getattr(node.target, '__name__', node.name)}_0", _function_name(node.target))
        )
        if "val" not in node.meta:
            node.meta["val"] = _value_of(node)

    first: Any = next(
        (node.meta["nn_module_stack"] for node in module.graph.nodes if "nn_module_stack" in node.meta), {}
    )
    with on_new_nodes(module, note):
        yield


def _function_name(target: Any) -> str:
    return f"{type(target).__name__}.{getattr(target, '__name__', target)}"


def _value_of(node: torch.fx.Node) -> Any:
    """Compute what a call on numbers yields from the values of its arguments; return None where they are not known
    yet.
    """
    args, kwargs = torch.fx.map_arg((node.args, node.kwargs), lambda each: each.meta.get("val"))
    try:
        return node.target(*args, **kwargs)  # type: ignore[operator]
    except Exception:  # an assertion about a value that is not known yet
        return None
