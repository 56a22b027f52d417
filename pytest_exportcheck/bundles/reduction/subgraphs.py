"""Subgraphs in place of the operators that call them: the branch that is taken, or the body of a region."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import torch
from torch.fx import GraphModule, Node

from pytest_exportcheck.bundles.reduction.draft import Draft, Unsuitable
from pytest_exportcheck.bundles.reduction.search import Search


def inline(search: Search) -> None:
    """Replace each operator that has subgraphs by the nodes of one of them: the last operators first."""
    for name in reversed(
        [node.name for node in Draft(search.best).graph.nodes if any(_subgraphs(Draft(search.best), node))]
    ):
        for number in range(2):

            def change(draft: Draft, name: str = name, number: int = number) -> None:
                node = draft.nodes[name]
                bodies = list(_subgraphs(draft, node))
                if number >= len(bodies):
                    raise Unsuitable("no other subgraph")
                _inline(draft, node, bodies[number])

            if search.edit(change):
                break


def _subgraphs(draft: Draft, node: Node) -> Iterator[GraphModule]:
    for given in node.args if node.op == "call_function" else ():
        if isinstance(given, Node) and given.op == "get_attr":
            body = getattr(draft.module, str(given.target), None)
            if isinstance(body, GraphModule):
                yield body


def _inline(draft: Draft, node: Node, body: GraphModule) -> None:
    """Copy the nodes of a subgraph to the place of the operator that calls it."""
    placeholders = body.graph.find_nodes(op="placeholder")
    last = node.args[-1]
    given: list[Any] = list(last) if isinstance(last, (tuple, list)) else list(node.args)
    copies: dict[Node, Any] = dict(zip(placeholders, given[-len(placeholders) :] if placeholders else (), strict=True))
    for each in body.graph.nodes:
        if each.op == "get_attr":
            raise Unsuitable("a subgraph in a subgraph")
        if each.op == "call_function":
            with draft.graph.inserting_before(node):
                copies[each] = draft.graph.node_copy(each, lambda used: copies[used])
    results: Any = torch.fx.node.map_arg(body.graph.output_node().args[0], lambda used: copies[used])
    for user in list(node.users):
        if user.target is not operator.getitem:
            raise Unsuitable("a result that is not fetched")
        user.replace_all_uses_with(results[user.args[1]])
        draft.graph.erase_node(user)
    draft.graph.erase_node(node)
