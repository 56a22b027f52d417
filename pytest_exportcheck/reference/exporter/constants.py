"""Constants: tensors that the graph holds become inputs, under the names that the module has for them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from pytest_exportcheck.reference._torch.objects import class_of_object, identity
from pytest_exportcheck.reference._torch.values import (
    FakeTensor,
    FakeTensorMode,
    HigherOrderOperator,
    is_functorch_tensor,
    pytree,
)
from pytest_exportcheck.reference.exporter.errors import LeakedTensor, NotSupported, NotTraceable
from pytest_exportcheck.reference.exporter.module_calls import NOTE
from pytest_exportcheck.reference.exporter.objects import NOT_HELD, is_object, object_argument


def lift_constants(
    module: torch.fx.GraphModule,
    mode: FakeTensorMode,
    known: Mapping[str, Any],
    lifted: int,
    real: Callable[[Any], Any] = lambda value: value,
    given: Mapping[int, torch.fx.Node] | None = None,
) -> dict[str, Any]:
    """Return the constants by name, in the order of their placeholders, which come after the first ``lifted`` ones.
    Values in ``known`` keep their names; ``real`` gives the object of a fake; ``given`` are the placeholders of objects
    that the caller passes.
    """
    graph = module.graph
    names: dict[int, str] = {}
    for name, value in known.items():
        names.setdefault(identity(value), name)
    first_input = list(graph.nodes)[lifted]
    outside = {each.fake_mode for each in known.values() if isinstance(each, FakeTensor)}
    made: dict[int, torch.fx.Node] = dict(given or {})
    _drop_unused_of(module, lambda value: _is_traced(value, outside if identity(value) in names else set()))
    values: dict[str, Any] = {}
    numbers = {"tensor": itertools.count(), "custom": itertools.count()}
    for node in graph.find_nodes(op="get_attr"):
        traced = getattr(module, str(node.target))
        if isinstance(traced, (torch.fx.GraphModule, pytree.TreeSpec)):
            continue
        unused = _unused(node)
        if unused:
            for each in unused:
                graph.erase_node(each)
            continue
        value = real(traced)
        key = identity(traced if value is None else value)
        if key not in made:
            _refuse_traced(node, traced, value, outside if key in names else set())
            what = "custom" if is_object(value) else "tensor"
            name = names[key] if key in names else _made_name(node, what, numbers[what], known)
            with graph.inserting_before(first_input):
                placeholder = graph.placeholder(name.replace(".", "_"))
            if is_object(value):
                placeholder.meta["val"] = object_argument(mode, value, traced)
            else:
                placeholder.meta["val"] = mode.from_tensor(value, static_shapes=True)
            # a parameter of a module that is not part of this one is not a parameter of the program either
            constant = value.detach() if isinstance(value, torch.nn.Parameter) else value
            made[key], values[name] = placeholder, constant
        made[key].meta.setdefault(NOTE, []).extend(node.meta.get(NOTE, ()))
        node.replace_all_uses_with(made[key])
        graph.erase_node(node)
    return values


def _made_name(node: torch.fx.Node, what: str, numbers: Iterator[int], known: Mapping[str, Any]) -> str:
    """Return a name for a value that ``forward`` makes, after the module that makes it."""
    stacks = (each.meta.get("nn_module_stack") for each in (node, *node.users))
    path = next((list(stack.values())[-1][0] for stack in stacks if stack), "")
    prefix = f"{path}." if path else ""
    return next(name for name in (f"{prefix}lifted_{what}_{number}" for number in numbers) if name not in known)


def _unused(node: torch.fx.Node) -> list[torch.fx.Node]:
    """Return the nodes of ``torch.tensor(...)`` whose result is not used, the last one first: a mutating operator
    protects them from the usual elimination.
    """
    chain = [node]
    for target in ("lift_fresh_copy", "detach_"):
        users = list(chain[0].users)
        if len(users) != 1 or getattr(users[0].target, "__name__", "") != f"{target}.default" or NOTE in users[0].meta:
            return []
        chain.insert(0, users[0])
    return [] if chain[0].users else chain


def _drop_unused_of(module: torch.fx.GraphModule, concerned: Callable[[Any], bool]) -> None:
    """Drop what is computed of such values and not used: rules of vmap leave such calls behind."""
    found: dict[torch.fx.Node, None] = {}
    for node in module.graph.nodes:
        if node.op == "get_attr":
            derived = concerned(getattr(module, str(node.target)))
        else:
            derived = node.op == "call_function" and not found.keys().isdisjoint(node.all_input_nodes)
        if derived:
            found[node] = None
    for node in reversed(found):
        if not node.users and not node.is_impure():
            module.graph.erase_node(node)


def _is_traced(value: Any, outside: set[FakeTensorMode]) -> bool:
    """Return True for a tensor that only exists while tracing."""
    return isinstance(value, torch.Tensor) and (
        is_functorch_tensor(value) or (isinstance(value, FakeTensor) and value.fake_mode not in outside)
    )


def _refuse_traced(node: torch.fx.Node, traced: Any, value: Any, outside: set[FakeTensorMode]) -> None:
    """Refuse a tensor that only exists while tracing, which is not a constant, and objects that a program cannot keep;
    ``value`` is None for one that the model does not hold. Fakes of the modes ``outside`` are the model's own.
    """
    if value is None:
        raise NotSupported(f"{NOT_HELD.format(class_of_object(traced))} {_used_at(node)}")
    if is_object(value):
        return
    if not isinstance(value, torch.Tensor):
        raise NotTraceable(
            f"a call in the model takes a {type(value).__module__}.{type(value).__qualname__}, which an exported program cannot hold: its state would be lost. "
            f"{_used_at(node)}"
        )
    if not _is_traced(value, outside):
        return
    wrapped = is_functorch_tensor(value)
    for call in node.users:
        if isinstance(call.target, HigherOrderOperator):
            raise LeakedTensor(
                f"a function that the model gives to {call.target} uses a tensor of the code around it: the program would hold a tensor "
                f"without data in its place. {_used_at(node)}Pass the tensor to the function as an operand."
            )
    what = "a tensor of torch.func (grad, vjp, jvp, vmap)" if wrapped else "a tensor that was created outside the trace"
    kind = NotTraceable if wrapped else LeakedTensor
    raise kind(
        f"the model computes with {what}, which cannot be recorded as operators: the program would hold a tensor without data "
        f"in its place. {_used_at(node)}Compute it with operators inside forward(), or move it out of the exported module."
    )


def _used_at(node: torch.fx.Node) -> str:
    user = next((each for each in node.users if "stack_trace" in each.meta), node)
    return f"It is used at\n{user.meta.get('stack_trace', node.format_node())}\n"
