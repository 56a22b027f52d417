"""Steps that leave a program simpler: nodes that pass an input on, one argument in place of two, arguments in place of
state.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.export.graph_signature import InputKind, InputSpec, TensorArgument
from torch.fx import GraphModule, Node

from pytest_exportcheck.bundles.reduction.draft import Draft, Slot, Unsuitable
from pytest_exportcheck.bundles.reduction.search import Search


def bypass(search: Search) -> None:
    """Replace nodes by one of their inputs of the same shape, from the last to the first, in subgraphs too."""
    for path, name in reversed(list(_places(Draft(search.best)))):
        for number in range(len(_inputs_like(_node(Draft(search.best), path, name)))):

            def change(draft: Draft, path: str = path, name: str = name, number: int = number) -> None:
                node = _node(draft, path, name)
                if node is None:
                    raise Unsuitable("the node is gone")
                node.replace_all_uses_with(_inputs_like(node)[number])
                node.graph.erase_node(node)
                if path:
                    _recompiled(draft, path)

            if search.edit(change):
                break


def _places(draft: Draft) -> Iterator[tuple[str, str]]:
    """Yield the path of the graph and the name of each call."""
    for path, owner in draft.module.named_modules():
        if isinstance(owner, GraphModule):
            yield from ((path, node.name) for node in owner.graph.nodes if node.op == "call_function")


def _node(draft: Draft, path: str, name: str) -> Node | None:
    owner = dict(draft.module.named_modules()).get(path)
    graph = owner.graph if isinstance(owner, GraphModule) else ()
    return next((node for node in getattr(graph, "nodes", ()) if node.name == name), None)


def _recompiled(draft: Draft, path: str) -> None:
    owner = draft.module.get_submodule(path)
    if isinstance(owner, GraphModule):
        if any(each.op == "placeholder" for each in owner.graph.output_node().all_input_nodes):
            raise Unsuitable("torch captures no subgraph that returns what it is given")
        owner.graph.eliminate_dead_code()
        owner.recompile()


def _inputs_like(node: Node | None) -> list[Node]:
    """Return the inputs of a node that have its shape and dtype."""
    return [] if node is None else [each for each in node.all_input_nodes if _alike(node, each)]


def _alike(one: Node, other: Node) -> bool:
    left, right = one.meta.get("val"), other.meta.get("val")
    if not isinstance(left, torch.Tensor) or not isinstance(right, torch.Tensor):
        return False
    return left.dtype == right.dtype and str(tuple(left.shape)) == str(tuple(right.shape))


def merge_inputs(search: Search) -> None:
    """Use one argument or tensor of the state in place of another one of the same shape."""
    for name in [node.name for node in Draft(search.best).graph.find_nodes(op="placeholder")][::-1]:
        for other in [node.name for node in Draft(search.best).graph.find_nodes(op="placeholder")]:
            if other == name:
                break

            def change(draft: Draft, name: str = name, other: str = other) -> None:
                nodes = draft.nodes
                if not _alike(nodes[name], nodes[other]):
                    raise Unsuitable("another shape")
                nodes[name].replace_all_uses_with(nodes[other])

            if search.edit(change):
                break


def drop_unused(search: Search) -> None:
    """Drop the arguments and the state that nothing uses, all at once where that is possible."""
    names = sorted(Draft(search.best).unused)
    if names and not search.edit(lambda draft: draft.unused.clear()) and len(names) > 1:
        for name in names:
            search.edit(lambda draft, name=name: draft.unused.discard(name))  # type: ignore[misc]


def state_as_inputs(search: Search) -> None:
    """Make an argument of each parameter, buffer and constant, all at once where that is possible."""
    names = [name for name, slot in Draft(search.best).slots.items() if _can_be_input(slot)]

    def change(draft: Draft, chosen: list[str]) -> None:
        if any(draft.slots[name].spec.target in {kind.target for kind in draft.kinds} for name in chosen):
            raise Unsuitable("the program writes to it")
        nodes = draft.nodes
        for name in chosen:
            value = draft.slots[name].values[0]
            made = draft.new_input(nodes[name], [_leaf(value)] * len(draft.calls))
            nodes[name].replace_all_uses_with(made)

    if names and not search.edit(lambda draft: change(draft, names)) and len(names) > 1:
        for name in names:
            search.edit(lambda draft, name=name: change(draft, [name]))  # type: ignore[misc]


def _can_be_input(slot: Slot) -> bool:
    kinds = (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR)
    return slot.spec.kind in kinds and isinstance(slot.values[0], torch.Tensor)


def _leaf(value: torch.Tensor) -> torch.Tensor:
    made = value.detach().clone(memory_format=torch.preserve_format)
    return made.requires_grad_() if value.requires_grad else made


def without_grad(search: Search) -> None:
    """Drop ``requires_grad`` of all arguments and parameters."""

    def change(draft: Draft) -> None:
        for node in draft.graph.find_nodes(op="placeholder"):
            slot = draft.slots[node.name]
            values = tuple(value.detach() if isinstance(value, torch.Tensor) else value for value in slot.values)
            if any(isinstance(value, torch.Tensor) and value.requires_grad for value in slot.values):
                if not slot.is_users:
                    raise Unsuitable("a parameter requires grad")
                draft.slots[node.name] = Slot(InputSpec(InputKind.USER_INPUT, TensorArgument(node.name), None), values)
                node.meta["val"] = node.meta["val"].detach()

    search.edit(change)
