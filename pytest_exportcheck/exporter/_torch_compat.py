"""What the exporter uses of torch beyond its public names, each in one place, with why and since when.

Checked with torch 2.13.0 and 2.14.1.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch._higher_order_ops import effects
from torch._subclasses.functional_tensor import FunctionalTensor
from torch.export import dynamic_shapes as _shapes
from torch.fx.experimental import proxy_tensor, symbolic_shapes

# Declarations of dynamic shapes: their forms are torch's, and so are the words in which they are refused.
check_dynamic_shapes = _shapes._check_dynamic_shapes
map_dynamic_shapes = _shapes._tree_map_with_path
DerivedDim = _shapes._DerivedDim
DimHint = _shapes._DimHint
DimHintType = _shapes._DimHintType
IntWrapper = _shapes._IntWrapper


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


def forget_numbers(tensor: torch.Tensor) -> None:
    """A fake remembers the symbol that ``item`` or ``nonzero`` gave before. 2.13 cannot give that one a new name a second time."""
    for memo in ("item_memo", "nonzero_memo", "unique_memo", "unique_consecutive_memo"):
        setattr(tensor, memo, None)


# What regions are called by.
WRAP_SET_GRAD = torch._higher_order_ops.wrap.wrap_with_set_grad_enabled
WRAP_AUTOCAST = torch._higher_order_ops.wrap.wrap_with_autocast

# An operator whose effects keep their order is called with a token and returns the next.
WITH_EFFECTS = effects.with_effects


def _tracer() -> Any:
    """What writes the graph that is being traced."""
    mode: Any = proxy_tensor.get_proxy_mode()
    return mode.tracer


def module_in_progress() -> tuple[str, str]:
    """The path of the module that is being called while tracing, and ``@1`` and so on from its second call on."""
    key, (path, _) = next(reversed(_tracer().module_stack.items()))
    _, at, number = key.rpartition("@")
    return path, at + number if at else ""


def node_of(value: Any) -> torch.fx.Node | None:
    """What yields a value in the graph that is being written, None for a constant."""
    proxy = _tracer().unwrap_proxy(value)
    return proxy.node if isinstance(proxy, torch.fx.Proxy) else None


#: Autograd is left out: an operator arrives as it is called, composite ones too.
below_autograd = torch._C._AutoDispatchBelowAutograd


@functools.cache
def is_functional_composite(operator: Any) -> bool:
    """Whether an operator is written in terms of others for all devices, and neither mutates nor may return an alias: such a one can
    stand in a functional graph as it is."""
    if not isinstance(operator, torch._ops.OpOverload) or operator in FunctionalTensor.metadata_fns:
        return False
    key = torch._C.DispatchKey.CompositeImplicitAutograd
    schema, name = operator._schema, str(operator.name())  # type: ignore[no-untyped-call]
    return (
        not torch._decomp._should_decompose_because_unsafe_op(operator)
        and not schema.is_mutable
        and all(each.alias_info is None for each in schema.arguments)
        and torch._C._dispatch_has_kernel(name)
        and (torch._C._dispatch_has_kernel_for_dispatch_key(name, key) or key in operator.py_kernels)
    )


def autograd_kernel(operator: Any) -> Any:
    """What autograd would call in place of an operator, where that is written in Python; None mostly."""
    kernel = getattr(operator, "py_kernels", {}).get(torch._C.DispatchKey.Autograd)
    return kernel if callable(kernel) else None


def composite_operators() -> Iterator[Any]:
    """All operators that are registered as written in terms of others."""
    for name in torch._C._dispatch_get_registrations_for_dispatch_key("CompositeImplicitAutograd"):
        namespace, _, rest = name.partition("::")
        packet, _, overload = rest.partition(".")
        yield getattr(getattr(getattr(torch.ops, namespace), packet), overload or "default")


def recorded_whole(operator: Any, *args: Any, **kwargs: Any) -> Any:
    """One node for a composite operator; its value by what it is written in, which is not recorded."""
    tracer = _tracer()
    given, named = pytree.tree_map(tracer.unwrap_proxy, (args, kwargs))
    key = torch._C.DispatchKey.CompositeImplicitAutograd
    kernel = operator.py_kernels.get(key, functools.partial(operator._op_dk, key))
    node = tracer.create_proxy("call_function", operator, given, named, name=operator.overloadpacket.__name__)
    with proxy_tensor.disable_proxy_modes_tracing():
        value = kernel(*args, **kwargs)
    return proxy_tensor.track_tensor_tree(value, node, constant=None, tracer=tracer)
