"""Edits of programs that show at some sizes only."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, cast

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.export import ExportedProgram
from torch.fx import Graph, Node

from tests.faults.editing import aten, call, output, placeholder, set_argument, use_instead
from tests.sized.sized import Edit


def follow(node: Node, target: Any, *args: Any, **kwargs: Any) -> Node:
    """A new call behind a node, with its provenance and a ``val`` that is right for every size."""
    with node.graph.inserting_after(node):
        made = node.graph.call_function(target, args, kwargs)
    stacks = [each.meta["nn_module_stack"] for each in node.graph.nodes if "nn_module_stack" in each.meta]
    made.meta = {"nn_module_stack": stacks[0], **{key: node.meta[key] for key in _PROVENANCE if key in node.meta}}
    made.meta["val"] = _computed(node.graph, target, args, kwargs)
    return made


_PROVENANCE = ("nn_module_stack", "source_fn_stack", "stack_trace", "torch_fn")


def _computed(graph: Graph, target: Any, args: Any, kwargs: Any) -> Any:
    """What a call yields, as metadata says it; nothing is decided about a size on the way."""
    mode = next(node.meta["val"].fake_mode for node in graph.nodes if isinstance(node.meta.get("val"), FakeTensor))
    given, named = torch.fx.node.map_arg((args, kwargs), lambda node: node.meta["val"])
    with mode, mode.shape_env.suppress_guards(), torch.no_grad():
        return target(*given, **named)


class After:
    """Calls behind a node, one after the other."""

    def __init__(self, node: Node) -> None:
        self.last = node

    def __call__(self, target: Any, *args: Any, **kwargs: Any) -> Node:
        self.last = follow(self.last, target, *args, **kwargs)
        return self.last


def before(node: Node) -> After:
    """Calls in front of a node."""
    return After(node.prev)


def size(program: ExportedProgram, name: str, dim: int = 0) -> Node:
    """The node that says how long a dim of an input is, ahead of all calls."""
    given = [node for node in program.graph.nodes if node.op == "placeholder"]
    return follow(given[-1], aten.sym_size.int, placeholder(program, name), dim)


def returned(program: ExportedProgram, place: int = 0) -> Node:
    """One of the values that the graph returns."""
    values: Any = output(program).args[0]
    return cast(Node, values[place])


def doubled_where(test: Callable[..., Node], *sizes: tuple[str, int], place: int = 0) -> Edit:
    """Return twice the value where ``test(then, *sizes)``, a node that holds a truth value, is true."""

    def edit(program: ExportedProgram) -> None:
        lengths = [size(program, name, dim) for name, dim in sizes]
        value = returned(program, place)
        then = After(value)
        factor = then(torch.sym_ite, test(then, *lengths), 2, 1)
        use_instead(program, value, then(aten.mul.Tensor, value, factor))

    return edit


def doubled_where_tensor(test: Callable[..., Node], *sizes: tuple[str, int]) -> Edit:
    """The same by ``torch.where``: ``test`` is given the sizes as tensors and makes a tensor."""

    def edit(program: ExportedProgram) -> None:
        lengths = [size(program, name, dim) for name, dim in sizes]
        value = returned(program)
        then = After(value)
        scalars = [then(aten.scalar_tensor.default, length, dtype=torch.int64) for length in lengths]
        condition = test(then, *scalars)
        use_instead(program, value, then(aten.where.self, condition, then(aten.mul.Tensor, value, 2), value))

    return edit


def is_multiple(then: After, length: Node, of: int) -> Node:
    return then(operator.eq, then(operator.mod, length, of), 0)


def narrowed_type(then: After, number: Node, dtype: torch.dtype) -> Node:
    """A number as it comes back from a dtype that may not hold it, as a tensor."""
    whole = then(aten.scalar_tensor.default, number, dtype=torch.int64)
    return then(aten.to.dtype, then(aten.to.dtype, whole, dtype), torch.float32)


def with_argument(target: str, place: int, value: Any, number: int = 0) -> Edit:
    """Another argument for one of the calls of an operator."""

    def edit(program: ExportedProgram) -> None:
        set_argument(call(program, target, number), place, value)

    return edit
