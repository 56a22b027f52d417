"""A program's graph run again below autograd: without mutations, its composite operators written out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from pytest_exportcheck.reference._torch import tracing
from pytest_exportcheck.reference._torch.values import FakeTensor, FakeTensorMode, HigherOrderOperator
from pytest_exportcheck.reference.exporter.regions import run_by_node

Table = Mapping[Any, Callable[..., Any]]


@dataclass(frozen=True)
class Functional:
    """A functional graph. ``module`` takes and returns a token for each kind of effect whose order counts (their number
    is ``effects``), then what the graph takes and returns. Between them it returns the new values of the inputs that
    change, whose places are ``changed``. ``nodes`` are the new nodes of those that were requested, by their old names.
    """

    module: torch.fx.GraphModule
    effects: int
    changed: list[int]
    nodes: dict[str, torch.fx.Node]


def functional(
    graph: torch.fx.GraphModule,
    values: Sequence[Any],
    mode: FakeTensorMode,
    table: Table,
    *,
    keep: bool,
    tokens: int,
    wanted: Collection[str],
) -> Functional:
    """Run a graph again on fake values below autograd and return it without mutations.

    ``table`` says how operators are written out; composite ones that it does not name stay where ``keep`` says so. The
    first ``tokens`` of the graph's own inputs and outputs are tokens, which are left out: new ones are threaded
    through.
    """
    table = dict(table.items())
    whole = frozenset(each for each in _composites(graph) if each not in table) if keep else frozenset()
    all_of_them = table | {each: partial(tracing.recorded_whole, each) for each in whole}
    for each in values:
        if isinstance(each, FakeTensor):
            tracing.forget_numbers(each)
    threaded: list[torch.Tensor] = []
    changed: list[int] = []
    nodes: dict[str, torch.fx.Node] = {}

    def run(*flat: Any) -> tuple[Any, ...]:
        below = _Functional(table, whole)
        with torch.fx.traceback.preserve_node_meta(), below:
            held = [_functional(each) for each in flat]
            outputs = _Whole(graph, wanted, nodes).run(*values[:tokens], *held, enable_io_processing=False)[tokens:]
        news = [_plain(each) for each in held]
        changed[:] = [
            place for place, each in enumerate(flat) if isinstance(each, torch.Tensor) and news[place] is not each
        ]
        threaded[:] = map(_plain, below.tokens())
        return (*threaded, *(news[place] for place in changed), *outputs)

    with (
        mode,
        tracing.exporting(),
        tracing.tracing(tracing.TracingContext(mode)),
        torch.no_grad(),
        tracing.below_autograd(),
        tracing.enable_python_dispatcher(),
    ):
        module = tracing.make_fx(run, decomposition_table=all_of_them)(*values[tokens:])
    _tokens_first(module.graph, len(values) - tokens)
    return Functional(module, len(threaded), changed, nodes)


def _tokens_first(graph: torch.fx.Graph, inputs: int) -> None:
    """Move tokens to the front: a token is an input that was made where the first effect of its kind was met, after the
    others.
    """
    first = next(iter(graph.nodes))
    for token in graph.find_nodes(op="placeholder")[inputs:]:
        if token is not first:
            first.prepend(token)


def _functional(value: Any) -> Any:
    return tracing.FunctionalTensor.to_functional(value) if isinstance(value, torch.Tensor) else value


def _plain(value: Any) -> Any:
    """Return the value of a functional tensor after the mutations so far."""
    return tracing.value_of_functional(value) if isinstance(value, tracing.FunctionalTensor) else value


class _Rerun(tracing.PropagateUnbackedSymInts):
    """An interpreter that runs regions node by node: those of another grad mode mean nothing below autograd, and those
    of autocast are run as such.
    """

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if target is tracing.WRAP_SET_GRAD:
            return _Rerun(args[1]).run(*args[2:])
        if target is tracing.WRAP_AUTOCAST:
            with torch.autocast(*args[:4]):
                return _Rerun(args[4]).run(*args[5:])
        if target is tracing.WITH_EFFECTS:
            outputs = args[1](*args[2:], **kwargs)
            return (args[0], *(outputs if isinstance(outputs, tuple) else (outputs,)))
        args = tuple(run_by_node(target, each, lambda graph: _Rerun(graph).run) for each in args)
        return super().call_function(target, args, kwargs)


class _Whole(_Rerun):
    """The interpreter of the graph itself, which returns plain tensors. A view that is made again for a result stays
    where it was made.
    """

    def __init__(self, graph: torch.fx.GraphModule, wanted: Collection[str], nodes: dict[str, torch.fx.Node]) -> None:
        super().__init__(graph)
        self._wanted, self._nodes = wanted, nodes

    def run_node(self, n: torch.fx.Node) -> Any:
        if n.op != "output":
            result = super().run_node(n)
            node = tracing.node_of(_plain(result)) if n.name in self._wanted else None
            if node is not None:
                self._nodes[n.name] = node
            return result
        return [self._plain(each) for each in n.args[0]]  # type: ignore[union-attr]

    def _plain(self, output: Any) -> Any:
        if not isinstance(output, torch.fx.Node):
            return output
        with torch.fx.traceback.set_current_meta(output):
            return _plain(self.env[output])


class _Functional(tracing.EffectsMode):  # type: ignore[no-untyped-call]
    """Functionalisation that meets composite operators as they are called. They are written out above
    functionalisation, because their decompositions may mutate; operators that stay whole are called with the values
    that the tensors hold.
    """

    supports_higher_order_operators = True

    def __init__(self, table: Table, whole: frozenset[Any]) -> None:
        super().__init__()
        self._table, self._whole = table, whole

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if isinstance(func, HigherOrderOperator):  # their rules go by the exact class of a mode
            return func.python_key_table[tracing.FunctionalTensorMode](self, *args, **kwargs)
        if func is torch.ops.aten.detach_.default:  # concerns gradients only
            return args[0]
        if func in self._whole:
            functional = tracing.PythonFunctionalizeAPI(self)
            given, named = functional.unwrap_tensors((args, kwargs))  # type: ignore[arg-type]
            return functional.wrap_tensors(func(*given, **named))
        if func in self._table and tracing.is_functional_composite(func):
            with self:
                found = self._table[func](*args, **kwargs)
            if found is not NotImplemented:
                return found
        written_out = tracing.autograd_kernel(func)
        if written_out is not None:
            with self:
                return written_out(*args, **kwargs)
        return super().__torch_dispatch__(func, types, args, kwargs)


def _composites(graph: torch.fx.GraphModule) -> Iterator[Any]:
    """Yield composite operators that can stay as they are: all that exist, since writing out others may lead to
    them.
    """
    called = (
        node.target for part in graph.modules() if isinstance(part, torch.fx.GraphModule) for node in part.graph.nodes
    )
    yield from filter(tracing.is_functional_composite, {*tracing.composite_operators(), *called})
