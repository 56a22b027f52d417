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

from pytest_exportcheck.reference._torch.sizes import GuardOnDataDependentSymNode
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
from pytest_exportcheck.reference.exporter.errors import DataDependent, NotSupported, NotTraceable
from pytest_exportcheck.reference.exporter.inputs import Example
from pytest_exportcheck.reference.exporter.objects import reason_of
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
            _data_dependence_located(),
            _object_errors_located(),
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
def _data_dependence_located() -> Iterator[None]:
    """Refuse data-dependent control flow with the line of the model that needs the value."""
    try:
        yield
    except GuardOnDataDependentSymNode as error:
        raise DataDependent.at(_line(error), error.cond) from error


@contextmanager
def _object_errors_located() -> Iterator[None]:
    """Refuse what torch's fakes of objects cannot do, with the line of the model."""
    try:
        yield
    except (RuntimeError, AttributeError) as error:
        reason = reason_of(error)
        if not reason:
            raise
        kind = NotSupported if isinstance(error, NotImplementedError) else NotTraceable
        raise kind(f"{reason} It is used at\n  {_line(error)}") from error


def _line(error: BaseException) -> str:
    """Return the last line of the model that led to an error."""
    return line_of_the_model(traceback.extract_tb(error.__traceback__))


class _Functions(TorchFunctionMode):
    """The mode that watches the torch functions that the model calls. A seed is seen at the next call. Python requests
    the value of a tensor that is an end of a slice, which makes a plain number of it: the mode replaces it by a symbol.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not torch.compiler.is_dynamo_compiling():  # it traces branches, through this too
            refuse_seeded()
        if func is torch.Tensor.__getitem__:
            tensor, index = args
            items = tuple(map(_by_value, index)) if isinstance(index, tuple) else _by_value(index)
            return func(tensor, items)
        return func(*args, **(kwargs or {}))


def _by_value(item: Any) -> Any:
    if not isinstance(item, slice):
        return item
    ends = (item.start, item.stop, item.step)
    if not any(isinstance(end, torch.Tensor) for end in ends):
        return item
    return slice(*(end.item() if isinstance(end, torch.Tensor) else end for end in ends))


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
