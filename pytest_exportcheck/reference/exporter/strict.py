"""Strict capture: Dynamo evaluates the Python of the module, and the graph that is left is traced like a module."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from functools import partial
from typing import Any

import torch
from torch.export import Dim

from pytest_exportcheck.reference._torch.dynamo import Captured, captured, constraint, dynamic_number, rename_sources
from pytest_exportcheck.reference._torch.sizes import StrictMinMaxConstraint, ValueRanges, int_oo
from pytest_exportcheck.reference._torch.tracing import (
    AUTOGRAD_FUNCTION,
    ENTER_AUTOCAST,
    EXIT_AUTOCAST,
    SET_GRAD,
    PropagateUnbackedSymInts,
)
from pytest_exportcheck.reference._torch.values import pytree
from pytest_exportcheck.reference.exporter.dynamic_shapes import Declared, is_dynamic
from pytest_exportcheck.reference.exporter.fake_inputs import Known, Symbolic, symbolic_in, within
from pytest_exportcheck.reference.exporter.inputs import Example
from pytest_exportcheck.reference.exporter.regions import run_by_node
from pytest_exportcheck.reference.exporter.specifications import Specification, unbound_refused
from pytest_exportcheck.reference.exporter.strict_errors import translated
from pytest_exportcheck.reference.exporter.strict_shape_env import DynamosShapeEnv

_ROOT = "L['module']"
_THIS_FRAME = re.compile(rf'^ *File "{re.escape(__file__)}", line .*\n(?! *File ).*\n( *[\^~]+ *\n)?', re.MULTILINE)
#: The end of a source of an attribute whose name Python cannot write: getattr(L['module'], '0').
_GETATTR = re.compile(r", '([^']*)'\)")


def call(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call the module: Dynamo captures this function, so that inputs have the same sources whatever the module is."""
    return module(*args, **kwargs)


def captured_by_dynamo(
    module: torch.nn.Module,
    example: Example,
    declared: Sequence[Declared],
    specification: Specification | None,
    *,
    deferred: bool,
) -> tuple[Symbolic, Known, Callable[..., Any]]:
    """Capture the module with Dynamo. Return the environment with the symbols of the inputs, and the function that
    Dynamo leaves of the module: it is called like :func:`call`. ``deferred`` is as for :func:`new_symbolic`.
    """
    constraints: list[Any] = []
    leaves: list[Any] = []
    for leaf, said in zip(example.leaves, declared, strict=True):
        value = leaf.value
        if isinstance(value, torch.Tensor):
            constraints += [constraint(value, number, name, bounds) for number, name, bounds in _dynamic(said)]
        elif is_dynamic(said):
            value = dynamic_number(value, said)
        leaves.append(value)
    args, kwargs = pytree.tree_unflatten(leaves, example.in_spec)
    shapes = specification.of_call if specification else None
    with translated(), unbound_refused() if specification else nullcontext():
        new_env = partial(DynamosShapeEnv, example)
        found = captured(call, (module, args, kwargs), constraints, new_env, shapes, deferred=deferred)
    env = found.env
    numbers = {each.source.name: each.fake for each in env.tracked_fakes if isinstance(each.fake, torch.SymInt)}
    env.tracked_fakes = []
    rename_sources(env, {leaf.place: leaf.source for leaf in example.leaves})
    if found.graph is not None:
        _tidy(found.graph)
    return symbolic_in(env), Known(found.contexts, numbers), _function(found)


def _dynamic(said: Mapping[int, Any]) -> Iterator[tuple[int, str, Any]]:
    for number, dim in said.items():
        if isinstance(dim, Dim):
            yield number, dim.__name__, within(dim)
        elif is_dynamic(dim):
            yield number, "", StrictMinMaxConstraint(vr=ValueRanges(0, int_oo), warn_only=False)


class _Number:
    """A number that the graph returns as a tensor, because Dynamo's graphs return no floats. The bytecode reads it."""

    def __init__(self, number: Any) -> None:
        self.item = lambda: number


def _function(found: Captured) -> Callable[..., Any]:
    """Return the captured function, whose graph is run node by node so that its metadata is copied."""
    graph: Any = found.graph  # a function without one does not run one

    def run(*inputs: Any) -> Any:
        with torch.fx.traceback.preserve_node_meta(), ExitStack() as regions:
            return _Interpreter(graph, regions).run(*inputs)

    return found.function(run)


class _Interpreter(PropagateUnbackedSymInts):
    """An interpreter of Dynamo's graph. It enters autocast, which torch only writes down, and runs the forward of an
    autograd function with gradients, which Dynamo puts between two changes of the grad mode.
    """

    def __init__(self, graph: torch.fx.GraphModule, regions: ExitStack, without: Sequence[torch.fx.Node] = ()) -> None:
        super().__init__(graph, garbage_collect_values=False)
        self._regions, self._without = regions, without

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if target is ENTER_AUTOCAST:
            entered = ExitStack()
            entered.enter_context(torch.autocast(*args))
            return self._regions.enter_context(entered)
        if target is EXIT_AUTOCAST:
            return args[0].close()
        if target is AUTOGRAD_FUNCTION:
            marks = args[0].graph.find_nodes(op="call_function", target=SET_GRAD)
            outputs, _saved = _Interpreter(args[0], self._regions, (marks[0], marks[-1])).run(*args[2:])
            return outputs
        args = tuple(run_by_node(target, each, lambda graph: _Interpreter(graph, self._regions).run) for each in args)
        return super().call_function(target, args, kwargs)

    def run_node(self, n: torch.fx.Node) -> Any:
        if n in self._without:
            return None
        if n.target is torch.scalar_tensor and "nn_module_stack" not in n.meta:  # not a call of the model
            return _Number(*self.fetch_args_kwargs_from_env(n)[0])
        return super().run_node(n)


def _tidy(graph: torch.fx.GraphModule) -> None:
    """Give the nodes the metadata of a graph whose root is the module: without the frame of :func:`call`."""
    for part in graph.modules():
        for node in part.graph.nodes if isinstance(part, torch.fx.GraphModule) else ():
            if "nn_module_stack" in node.meta:
                node.meta["nn_module_stack"] = dict(_stack(node.meta["nn_module_stack"]))
            trace = node.meta.pop("stack_trace", None)
            if trace:
                node.meta["stack_trace"] = _THIS_FRAME.sub("", trace) or trace


def _stack(traced: Mapping[str, tuple[str, Any]]) -> Iterator[tuple[str, tuple[str, Any]]]:
    for key, (source, kind) in traced.items():
        path = _GETATTR.sub(r".\1", source.replace("getattr(", "")).removeprefix(_ROOT).removeprefix(".")
        _, at, number = key.partition("@")
        yield f"L__self__{path}{at}{number}", (path, kind)
