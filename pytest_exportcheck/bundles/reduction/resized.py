"""Smaller sizes: a program that has symbols is made static, then the sizes of its inputs are halved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.fx import GraphModule, Node

from pytest_exportcheck.bundles.reduction.cuts import put_instead
from pytest_exportcheck.bundles.reduction.draft import Draft, Slot
from pytest_exportcheck.bundles.reduction.recorded import Recording
from pytest_exportcheck.bundles.reduction.search import Search
from pytest_exportcheck.describe.operators import operator_facts
from pytest_exportcheck.harness._torch import pytree, static_fake_mode

#: A change of the integers in the arguments of a node.
_Numbers = Callable[[Any], Any]


def make_static(search: Search) -> bool:
    """Replace symbols by the sizes of the calls, and every number that a node computes by the recorded one."""
    if not search.best.program.range_constraints:
        return False
    recording = search.recording

    def change(draft: Draft) -> None:
        for node in list(draft.graph.nodes):
            if node.op == "call_function" and "assertion" in operator_facts(node.target, node.args, node.kwargs):
                draft.graph.erase_node(node)
        for node in draft.graph.nodes:
            if isinstance(node.meta.get("val"), (torch.SymInt, torch.SymFloat, torch.SymBool)):
                (value,) = set(recording.of(node.name))
                for user in list(node.users):
                    put_instead(user, node, value)
        propagate(draft, recording)

    return search.edit(change)


def halve_sizes(search: Search) -> None:
    """Make the sizes of inputs and state smaller, the largest first: all that are equal together, else those of one dim."""
    tried: set[Any] = set()
    while not search.spent:
        sizes = sorted({size for _, value in _tensors(Draft(search.best)) for size in value.shape}, reverse=True)
        for size in sizes:
            if size > 1 and size not in tried and any(_resized(search, size, new) for new in _smaller(size)):
                break
            tried.add(size)
        else:
            break
    for name, value in _tensors(Draft(search.best)):
        for dim in range(value.dim()):
            while _halved_alone(search, name, dim):
                pass


def _smaller(size: int) -> list[int]:
    return list(dict.fromkeys(new for new in (1, 2, size // 2, size - 1) if 0 < new < size))


def _tensors(draft: Draft) -> list[tuple[str, torch.Tensor]]:
    return [(name, slot.values[0]) for name, slot in draft.slots.items() if _is_plain(slot)]


def _is_plain(slot: Slot) -> bool:
    return all(
        isinstance(value, torch.Tensor) and value.layout is torch.strided and not value.is_nested
        for value in slot.values
    )


def _resized(search: Search, size: int, new: int) -> bool:
    """Put one size in the place of another, wherever it occurs: in lists of sizes, or in all numbers, or in products."""
    ways: Sequence[_Numbers] = (
        lambda given: given,
        lambda given: [new if each == size else each for each in given] if isinstance(given, list) else given,
        lambda given: [_scaled(each, size, new) for each in given] if isinstance(given, list) else given,
        lambda given: (
            [_scaled(each, size, new) for each in given]
            if isinstance(given, list)
            else (new if type(given) is int and given == size else given)
        ),
    )
    return any(
        search.edit(lambda draft, way=way: _resize(draft, lambda _, at: new if at == size else at, way))  # type: ignore[misc]
        for way in ways
    )


def _scaled(number: Any, size: int, new: int) -> Any:
    return number // size * new if type(number) is int and number > 0 and number % size == 0 else number


def _halved_alone(search: Search, name: str, dim: int) -> bool:
    slot = Draft(search.best).slots.get(name)
    if slot is None or slot.values[0].shape[dim] < 2:
        return False

    def change(draft: Draft) -> None:
        _resize(draft, lambda at, size: size // 2 if at == (name, dim) else size, lambda given: given)

    return search.edit(change)


def _resize(draft: Draft, size_of: Callable[[tuple[str, int], int], int], numbers: _Numbers) -> None:
    for name, slot in list(draft.slots.items()):
        if _is_plain(slot):
            values = tuple(_sliced(name, value, size_of) for value in slot.values)
            draft.slots[name] = Slot(slot.spec, values)
    for owner in draft.module.modules():
        if isinstance(owner, GraphModule):
            for node in owner.graph.nodes:
                if node.op == "call_function":
                    node.args = tuple(numbers(_listed(each)) for each in node.args)
    propagate(draft)


def _listed(given: Any) -> Any:
    return list(given) if isinstance(given, (list, tuple)) else given


def _sliced(name: str, value: torch.Tensor, size_of: Callable[[tuple[str, int], int], int]) -> torch.Tensor:
    """Return the first elements of a tensor, in the same order of strides."""
    made = value.detach()
    for dim, size in enumerate(value.shape):
        made = made.narrow(dim, 0, size_of((name, dim), size))
    if made.shape == value.shape:
        return value
    made = made.conj().clone().conj() if made.is_conj() else made.clone(memory_format=torch.preserve_format)
    if isinstance(value, torch.nn.Parameter):
        return torch.nn.Parameter(made, requires_grad=value.requires_grad)
    return made.requires_grad_() if value.requires_grad else made


def propagate(draft: Draft, recording: Recording | None = None) -> None:
    """Make the metadata again from the values of the placeholders, with static sizes. A node that needs data has that of
    the recorded value.
    """
    mode = static_fake_mode()
    given = []
    for node in draft.graph.find_nodes(op="placeholder"):
        value = draft.slots[node.name].values[0]
        given.append(mode.from_tensor(value) if isinstance(value, torch.Tensor) else value)
    values = recording.values[0] if recording is not None else {}
    with mode, torch.no_grad():
        _Propagation(draft.module, mode, values).run(*given)


class _Propagation(torch.fx.Interpreter):
    """A run of a graph on fake tensors that writes what the nodes yield into their metadata."""

    def __init__(self, module: GraphModule, mode: Any, values: Mapping[str, Any]) -> None:
        super().__init__(module)
        self._mode = mode
        self._values = values

    def run_node(self, n: Node) -> Any:
        try:
            made = super().run_node(n)
        except Exception:
            if n.name not in self._values:
                raise
            made = pytree.tree_map_only(torch.Tensor, self._mode.from_tensor, self._values[n.name])
        if isinstance(made, GraphModule):
            return _Inner(made, self._mode)
        if n.op != "output":
            n.meta["val"] = made
            n.meta.pop("tensor_meta", None)
        return made


class _Inner(torch.nn.Module):
    """A subgraph whose metadata is made when it is called."""

    def __init__(self, module: GraphModule, mode: Any) -> None:
        super().__init__()
        self._run = (module, mode)

    def forward(self, *args: Any) -> Any:
        module, mode = self._run
        return _Propagation(module, mode, {}).run(*args)
