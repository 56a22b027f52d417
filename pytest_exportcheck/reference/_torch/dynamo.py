"""Dynamo's capture of a function: the bytecode that Dynamo makes of the function, and the graph that the bytecode
calls.
"""

from __future__ import annotations

import builtins
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from traceback import StackSummary
from types import FunctionType
from typing import Any
from unittest import mock

import torch
from torch import _dynamo, _guards
from torch._dynamo import convert_frame as _convert_frame
from torch._dynamo import exc as _exc
from torch._dynamo import output_graph as _output_graph
from torch._dynamo import symbolic_convert as _symbolic_convert
from torch._dynamo import utils as _utils
from torch._dynamo import variables as _variables
from torch._subclasses import fake_tensor as _fake_tensor
from torch.export import dynamic_shapes as _shapes

from pytest_exportcheck.reference._torch.sizes import IntWrapper, ShapeEnv
from pytest_exportcheck.reference._torch.tracing import TracingContext, exporting
from pytest_exportcheck.reference._torch.values import pytree

# Errors of Dynamo: what it cannot capture, and what it refuses (2.13).
TorchDynamoException = _exc.TorchDynamoException
InternalTorchDynamoError = _exc.InternalTorchDynamoError
Unsupported = _exc.Unsupported

# Where Dynamo evaluates the Python of a model: a condition on a size that is requested there is requested by the line of
# the model itself (2.13).
PYTHON_OF_DYNAMO = tuple(str(Path(_dynamo.__file__).parent / name) for name in ("variables", "symbolic_convert"))

# A place that is a part of another place (2.13).
ChainedSource = _guards.ChainedSource

#: A container without leaves, in the place of None.
_NONE = {"exportcheck_none": ()}

#: Functions that write messages, which a program cannot: Dynamo skips calls of them (2.13).
_LOGGING = (
    print,
    warnings.warn,
    *(getattr(logging.Logger, name) for name in ("debug", "info", "warning", "error", "exception", "critical", "log")),
)

#: The settings under which torch.export captures by Dynamo (2.13).
_SETTINGS: Mapping[str, Any] = {
    "allow_rnn": True,
    "ignore_logging_functions": frozenset(_LOGGING),
    "specialize_int": True,
    "specialize_float": True,
    "automatic_dynamic_shapes": False,
    "capture_dynamic_output_shape_ops": True,
    "capture_scalar_outputs": True,
    "constant_fold_autograd_profiler_enabled": True,
}
_OF_MODELS: Mapping[str, Any] = {"assume_static_by_default": True, "do_not_emit_runtime_asserts": True}
_OF_BRANCHES: Mapping[str, Any] = {
    "assume_static_by_default": False,
    "do_not_emit_runtime_asserts": False,
    "prefer_deferred_runtime_asserts_over_guards": False,
    "replay_side_effects": False,
}


@dataclass(frozen=True)
class Captured:
    """A function as Dynamo captured it (2.13). ``graph`` is None where the function calls no operator. ``contexts`` are
    those of the tensors that Dynamo met: they hold the symbols of their sizes.
    """

    graph: torch.fx.GraphModule | None
    env: Any
    contexts: Mapping[torch.Tensor, Any]
    runtime: Any
    globals: Mapping[str, Any]
    name: str

    def function(self, run: Callable[..., Any]) -> Callable[..., Any]:
        """Return the captured function; it calls ``run`` with the inputs of the graph."""
        made: Callable[..., Any] = self.runtime.forward_callable(self.name, run, extra_globals=dict(self.globals))

        def called(*args: Any) -> Any:
            modes = _utils.get_torch_function_mode_stack()
            try:
                return made(*args)
            finally:  # where the function enters a mode, its bytecode leaves the modes of the capture: those of the trace too
                _utils.set_torch_function_mode_stack(modes)

        return called


def captured(
    function: Any,
    args: tuple[Any, ...],
    constraints: Sequence[Any],
    new_env: Callable[..., ShapeEnv],
    specification: Any = None,
    *,
    deferred: bool,
) -> Captured:
    """Capture a function with Dynamo; ``new_env`` makes the environment of its symbols. ``dynamo_graph_capture_for_export`` does the
    same, drops what the function changes outside of the graph, and calls modules with hooks by other names (2.13).
    """
    with ExitStack() as stack:
        made = stack.enter_context(_environments(new_env))
        stack.enter_context(_values_unknown())
        stack.enter_context(_sparse_tensors_taken())
        # Dynamo decides by the second setting whether a number in a tuple may become a symbol, and the first makes it one
        specified = {"_dynamic_shapes_spec": specification, "specialize_int": False} if specification else {}
        settings = {**_SETTINGS, **_OF_MODELS, **specified, "prefer_deferred_runtime_asserts_over_guards": deferred}
        for context in (exporting(), _dynamo.config.patch(**settings), _utils.get_metrics_context()):
            stack.enter_context(context)
        # Dynamo leaves what it makes among the globals of the function: they are the capture's
        own = FunctionType(function.__code__, {"__name__": function.__module__, "__builtins__": builtins})
        output = _convert_frame.fullgraph_capture(own, args, {}, constraints=list(constraints))
    described, backend = output.graph_capture_output, output.backend_input
    return Captured(
        backend.graph_module if backend else None,
        made[-1],
        backend.tensor_to_context if backend else {},
        described.get_runtime_env(),
        described.f_globals,
        backend.backend_id if backend else "",
    )


def capturing_branches() -> Any:
    """Return a context with the settings for the functions that higher-order operators call: Dynamo traces them within
    a trace. Without it, a number that differs from the last trace becomes an operand (2.13).
    """
    return _dynamo.config.patch(**_SETTINGS, **_OF_BRANCHES)


@contextmanager
def _environments(new_env: Callable[..., ShapeEnv]) -> Iterator[list[Any]]:
    """Make Dynamo's environments of symbols in another way: no argument gives it one (2.13)."""
    made: list[Any] = []

    def make(**options: Any) -> Any:
        made.append(new_env(**options, trace_asserts=True))
        return made[-1]

    with mock.patch.object(_output_graph, "ShapeEnv", make):
        yield made


@contextmanager
def _values_unknown() -> Iterator[None]:
    """Keep Dynamo from reading numbers from tensors of the example, and from taking branches by them: its fake mode
    leaves them out for exports only, and whether it exports is one flag with much else (2.13).
    """

    def keep(converter: Any, _: bool) -> None:
        vars(converter)["export"] = True

    export = property(lambda _: True, keep)
    with mock.patch.object(_fake_tensor.FakeTensorConverter, "export", export, create=True):
        yield


@contextmanager
def _sparse_tensors_taken() -> Iterator[None]:
    """Make Dynamo capture sparse tensors. It refuses them without the flag of exports, because its guards do not cover them: the
    guards of a capture are not used (2.13).
    """

    def refuse(*, gb_type: str, **reasons: Any) -> None:
        if not gb_type.startswith("Attempted to wrap sparse Tensor"):
            _exc.unimplemented(gb_type=gb_type, **reasons)

    with ExitStack() as stack:
        for module in (_variables.builder, _variables.builtin, _variables.tensor):
            stack.enter_context(mock.patch.object(module, "unimplemented", refuse))
        yield


def lines_in_progress() -> StackSummary:
    """Return the frames of the model that Dynamo is evaluating, the innermost last (2.13)."""
    return TracingContext.extract_stack()


def values_in_progress() -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """Return the inputs that Dynamo has met, by their places, and the variables of the frame that it evaluates; None if
    it does not evaluate any (2.13).
    """
    translator: Any = _symbolic_convert.InstructionTranslator.current_tx()
    if translator is None:
        return None
    output = translator.output
    inputs = {each.source.name: each.fake for each in output.tracked_fakes}
    return inputs, {name: _value(each) for name, each in output.current_tx.symbolic_locals.items()}


def _value(variable: Any) -> Any:
    """Return the fakes that a variable of Dynamo consists of, None for other kinds (2.13)."""
    try:
        proxies = variable.as_proxy() if variable.is_realized() else None
    except (NotImplementedError, Unsupported):
        return None
    return pytree.tree_map_only(torch.fx.Proxy, lambda each: each.node.meta.get("example_value"), proxies)


def left_to_the_graph(function: Callable[..., None]) -> Callable[..., None]:
    """Make Dynamo write calls of a function into its graph instead of evaluating them. Dynamo passes no None to such a
    function, and takes none from it (2.13).
    """

    def called(*args: Any) -> Any:
        function(*pytree.tree_map(lambda each: None if _is_none(each) else each, args, is_leaf=_is_none))
        return []

    written = _dynamo.nonstrict_trace(called)

    def call(*args: Any) -> None:
        written(*pytree.tree_map(lambda each: _NONE if each is None else each, args))

    return call


def _is_none(value: Any) -> bool:
    return isinstance(value, dict) and value == _NONE


def constraint(tensor: torch.Tensor, number: int, name: str, bounds: Any) -> Any:
    """Return the constraint by which Dynamo makes a dimension of a tensor a symbol within bounds (2.13)."""
    return _shapes._Constraint(id(tensor), number, name, bounds)


def dynamic_number(value: int, hint: Any) -> Any:
    """Return an argument that Dynamo captures as a symbolic number (2.13)."""
    wrapped = IntWrapper(value)
    wrapped.dynamism = hint
    return wrapped


def rename_sources(env: Any, names: Mapping[str, Any]) -> None:
    """Replace the sources of an environment's symbols that begin with one of these names: guards have the names of the
    function that was captured (2.13).
    """

    def renamed(source: Any) -> Any:
        if source.name in names:
            return names[source.name]
        return replace(source, base=renamed(source.base)) if isinstance(source, ChainedSource) else source

    for symbol, sources in env.var_to_sources.items():
        env.var_to_sources[symbol] = [*map(renamed, sources)]
        env.source_to_var |= {each.name: symbol for each in env.var_to_sources[symbol]}
