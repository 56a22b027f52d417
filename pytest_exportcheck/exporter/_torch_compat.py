"""What the exporter uses of torch beyond its public names, each in one place, with why and since when.

Checked with torch 2.13.0 and 2.14.1.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.export import dynamic_shapes as _shapes
from torch.fx.experimental import symbolic_shapes

# Declarations of dynamic shapes: their forms are torch's, and so are the words in which they are refused.
check_dynamic_shapes = _shapes._check_dynamic_shapes
map_dynamic_shapes = _shapes._tree_map_with_path
DerivedDim = _shapes._DerivedDim
DimHint = _shapes._DimHint
DimHintType = _shapes._DimHintType


def normalize_dynamic_shapes(
    shapes: Any, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """2.14 takes further spellings of keyword arguments; before, there is nothing to do."""
    normalize = getattr(_shapes, "_normalize_dynamic_shapes", None)
    return shapes if normalize is None else normalize(shapes, module, args, kwargs)


def number_context(must_stay_dynamic: bool) -> Any:
    """What a symbolic number among the inputs must keep to."""
    return (
        symbolic_shapes.SymIntSymbolicContext(constraint=symbolic_shapes.RelaxedUnspecConstraint(warn_only=False))
        if must_stay_dynamic
        else None
    )


#: Backends whose own operators would stand in a program, off while tracing as in torch.export. Their public switches set more.
_BACKENDS = tuple(
    (getattr(torch._C, f"_get_{name}_enabled"), getattr(torch._C, f"_set_{name}_enabled"))
    for name in ("mkldnn", "nnpack", "cudnn")
)


@contextmanager
def exporting() -> Iterator[None]:
    """``torch.compiler.is_compiling()`` and ``is_exporting()`` are true, and backends' own operators are off."""
    before = torch.compiler._is_compiling_flag, torch.compiler._is_exporting_flag
    enabled = [read() for read, _ in _BACKENDS]
    torch.compiler._is_compiling_flag = torch.compiler._is_exporting_flag = True
    for _, switch in _BACKENDS:
        switch(False)
    try:
        yield
    finally:
        for (_, switch), was in zip(_BACKENDS, enabled, strict=True):
            switch(was)
        torch.compiler._is_compiling_flag, torch.compiler._is_exporting_flag = before


# What stands in a trace where a region begins and ends.
SET_GRAD = torch._C._set_grad_enabled
ENTER_AUTOCAST = torch.amp.autocast_mode._enter_autocast
EXIT_AUTOCAST = torch.amp.autocast_mode._exit_autocast
REGION_MARKS = (SET_GRAD, ENTER_AUTOCAST, EXIT_AUTOCAST)
GETITEM = operator.getitem


def graph_module(owner: torch.fx.GraphModule, graph: torch.fx.Graph) -> torch.fx.GraphModule:
    """A module of a new graph with the attributes that it takes of the old module."""
    made = torch.fx.GraphModule(owner, graph)
    made.meta.update(owner.meta)
    return made


def is_functorch_tensor(tensor: torch.Tensor) -> bool:
    """Whether a tensor is one of a torch.func transform in progress."""
    return bool(torch._C._functorch.is_functorch_wrapped_tensor(tensor))


def with_state(module: torch.nn.Module, tensors: dict[str, Any]) -> Any:
    """The module with other parameters and buffers while the context lasts, tied ones under every name. ``torch.func.functional_call``
    does no more than call the module with them; its result is not all that is asked of it here."""
    return torch.nn.utils.stateless._reparametrize_module(
        module, tensors, tie_weights=True, strict=True, stack_weights=True
    )


def unbacked_bindings(value: Any, env: Any, pending: set[Any]) -> Any:
    """Which of the pending unbacked symbols stand first in this value, and where. The public function names all that are new to the
    environment, and here all are known."""
    return symbolic_shapes._free_unbacked_symbols_with_path(value, (), shape_env=env, pending=pending, simplify=True)
