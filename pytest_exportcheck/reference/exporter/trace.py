"""Tracing: one run of the module on fake values that records every operator, as a graph whose inputs are its state and
its leaves.
"""

from __future__ import annotations

import builtins
import functools
import math
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from pytest_exportcheck.reference._torch.sizes import GuardOnDataDependentSymNode, free_unbacked_symbols
from pytest_exportcheck.reference._torch.tracing import (
    WRAP_AUTOCAST,
    WRAP_SET_GRAD,
    TracingContext,
    enable_python_dispatcher,
    exporting,
    make_fx,
    set_stack_root,
    tracing,
    with_state,
)
from pytest_exportcheck.reference._torch.values import FakeTensorMode, pytree
from pytest_exportcheck.reference.exporter.errors import DataDependent
from pytest_exportcheck.reference.exporter.indexing import indexed
from pytest_exportcheck.reference.exporter.inputs import Example
from pytest_exportcheck.reference.exporter.seeds import not_seeded, refuse_seeded
from pytest_exportcheck.reference.exporter.shape_env import line_of_the_model

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
            _numbers_as_symbols(),
            _grad_mode_kept(),
            _data_dependence_located(_unbacked_sizes(example, leaves)),
            not_seeded(),
            _Functions(),
            enable_python_dispatcher(),
        ):
            stack.enter_context(context)
        graph = make_fx(run, record_module_stack=True, pre_dispatch=True)(*state.values(), *leaves)
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
        if target in (WRAP_SET_GRAD, WRAP_AUTOCAST):
            args = tuple(_Rerun(each).run if isinstance(each, torch.fx.GraphModule) else each for each in args)
        return super().call_function(target, args, kwargs)


def _write_back(module: torch.nn.Module, before: Mapping[str, torch.Tensor]) -> None:
    """Copy the new value into a buffer that was reassigned: the graph can represent a mutation only."""
    for name, value in module.named_buffers(remove_duplicate=False):
        if name in before and value is not before[name]:
            before[name].copy_(value)


@contextmanager
def _data_dependence_located(sizes: Mapping[Any, str]) -> Iterator[None]:
    """Refuse control flow that depends on data, or on one of these unbacked sizes, with the line of the model that
    needs the value.
    """
    try:
        yield
    except GuardOnDataDependentSymNode as error:
        frames = traceback.extract_tb(error.__traceback__)
        symbols = sorted(getattr(error.cond, "free_symbols", ()), key=str)
        specified = ", ".join(f"{sizes[each]} ({each})" for each in symbols if each in sizes)
        raise DataDependent.at(line_of_the_model(frames), error.cond, error, specified) from error


def _unbacked_sizes(example: Example, leaves: list[Any]) -> dict[Any, str]:
    """Map the unbacked symbols of the inputs to the sizes and numbers that they are, as the model writes them."""
    found: dict[Any, str] = {}
    for leaf, value in zip(example.leaves, leaves, strict=True):
        is_tensor = isinstance(value, torch.Tensor)
        for number, size in enumerate(value.shape if is_tensor else [value]):
            if isinstance(size, torch.SymInt) and free_unbacked_symbols(size):
                found.setdefault(size.node.expr, f"{leaf.text}.shape[{number}]" if is_tensor else leaf.text)
    return found


class _Functions(TorchFunctionMode):
    """The mode that watches the torch functions that the model calls. A seed is seen at the next call; indexing by
    symbols is done by operators that take them.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not torch.compiler.is_dynamo_compiling():  # it traces branches, through this too
            refuse_seeded()
        if func is torch.Tensor.__getitem__:
            found = indexed(*args)
            return func(*args) if found is None else found
        return func(*args, **(kwargs or {}))


@contextmanager
def _grad_mode_kept() -> Iterator[None]:
    before = torch.is_grad_enabled()
    try:
        yield
    finally:
        torch.set_grad_enabled(before)


@contextmanager
def _numbers_as_symbols() -> Iterator[None]:
    """Keep ``max``, ``min`` and ``math.pow`` symbolic inside the context; Python's own request the value of a
    symbol. Other threads see the replacements, which compute other values as Python's own do.
    """
    saved = builtins.max, builtins.min, math.pow
    builtins.max = _extremum(saved[0], torch.sym_max)
    builtins.min = _extremum(saved[1], torch.sym_min)
    math.pow = _power(saved[2])
    try:
        yield
    finally:
        builtins.max, builtins.min, math.pow = saved


def _extremum(original: Callable[..., Any], symbolic: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def extremum(*args: Any, **kwargs: Any) -> Any:
        values = list(args[0]) if len(args) == 1 and isinstance(args[0], (list, tuple)) else list(args)
        numbers = all(isinstance(each, (int, float, torch.SymInt, torch.SymFloat)) for each in values)
        if values and not kwargs and numbers and _is_symbolic(*values):
            return functools.reduce(symbolic, values)
        return original(*args, **kwargs)

    return extremum


def _power(original: Callable[..., float]) -> Callable[..., Any]:
    def power(base: Any, exponent: Any) -> Any:
        return base**exponent if _is_symbolic(base, exponent) else original(base, exponent)

    return power


def _is_symbolic(*values: Any) -> bool:
    return any(isinstance(each, (torch.SymInt, torch.SymFloat)) for each in values)
