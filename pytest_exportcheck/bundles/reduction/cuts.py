"""Cuts of a program: fewer outputs, an inner value as the output, recorded values in place of what computes them."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.export.graph_signature import OutputKind, OutputSpec, TensorArgument
from torch.fx import Node

from pytest_exportcheck.bundles.reduction.draft import Draft, Unsuitable
from pytest_exportcheck.bundles.reduction.recorded import Recording
from pytest_exportcheck.bundles.reduction.search import Search, shed

_OUTPUT = OutputSpec(OutputKind.USER_OUTPUT, TensorArgument(""), None)


def drop_outputs(search: Search) -> None:
    """Drop the outputs that the finding does not need; one of them is left."""

    def drop(chunk: Sequence[tuple[str, str]]) -> bool:
        def change(draft: Draft) -> None:
            left = [
                (value, kind)
                for value, kind in zip(draft.returned, draft.kinds, strict=True)
                if _mark(value, kind) not in chunk
            ]
            if not left:
                raise Unsuitable("a program without outputs")
            draft.returns([value for value, _ in left], [kind for _, kind in left])

        return search.edit(change)

    draft = Draft(search.best)
    marks = list(dict.fromkeys(map(_mark, draft.returned, draft.kinds)))
    if len(marks) > 1:
        shed(marks[::-1], drop)


def _mark(value: Any, kind: OutputSpec) -> tuple[str, str]:
    return (str(value), f"{kind.kind.name} {kind.target}")


def cut_out(search: Search, names: Sequence[str]) -> bool:
    """Keep only these nodes: the program returns their values and is given what they take."""
    recording = search.recording
    wanted = set(names)

    def change(draft: Draft) -> None:
        nodes = [node for node in draft.graph.nodes if node.name in wanted]
        rest = [node for node in draft.graph.nodes if node.op == "call_function" and node.name not in wanted]
        results = [node for node in _with_parts(nodes) if _is_tensor(node) and not set(node.users) & set(nodes)]
        if not results:
            raise Unsuitable("none of the nodes yields a tensor")
        draft.returns(results, [_OUTPUT] * len(results))
        replace_by_recorded(draft, [node for node in rest if node not in results], recording)

    return search.edit(change)


def neighbourhoods(search: Search, name: str) -> Iterator[list[str]]:
    """Yield larger and larger sets of nodes around one: what uses its values, and what computes its inputs."""
    nodes = Draft(search.best).nodes
    if name not in nodes:
        return
    start = nodes[name]
    own = [start] if start.op == "call_function" else []
    if start.op == "placeholder":
        yield from ([user.name] for user in start.users if user.op == "call_function")
    seen: set[int] = set()
    for above, below in ((0, 0), (0, 1), (1, 0), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 8)):
        found = {
            *own,
            *_reached(start, above, lambda node: node.all_input_nodes),
            *_reached(start, below, lambda node: node.users),
        }
        names = [node.name for node in start.graph.nodes if node in found and node.op == "call_function"]
        if names and len(names) not in seen:
            seen.add(len(names))
            yield names


def _reached(start: Node, steps: int, following: Any) -> set[Node]:
    found, edge = {start}, {start}
    for _ in range(steps):
        edge = {each for node in edge for each in following(node)} - found
        found |= edge
    return found


def cut_suffix(search: Search) -> None:
    """Return the earliest value that shows the finding, found by bisection."""
    values = [node.name for node in Draft(search.best).graph.nodes if node.op == "call_function" and _is_tensor(node)]

    def returning(name: str) -> bool:
        def change(draft: Draft) -> None:
            kept = [
                (value, kind)
                for value, kind in zip(draft.returned, draft.kinds, strict=True)
                if kind.kind is not OutputKind.USER_OUTPUT
            ]
            draft.returns([*(value for value, _ in kept), draft.nodes[name]], [*(kind for _, kind in kept), _OUTPUT])

        return search.edit(change)

    low, high = 0, len(values)
    while low < high and not search.spent:
        middle = (low + high) // 2
        if returning(values[middle]):
            high = middle
        else:
            low = middle + 1


def cut_prefix(search: Search) -> None:
    """Give the program the values of as many of its first nodes as possible, found by bisection."""
    names = _calls(search)
    low, high = 0, len(names)
    while low < high and not search.spent:
        middle = (low + high + 1) // 2
        if _absorbed(search, names[:middle]):
            low = middle
        else:
            high = middle - 1


def absorb(search: Search) -> None:
    """Give the program recorded values in place of any nodes, in chunks."""
    shed(_calls(search), lambda chunk: _absorbed(search, chunk))


def _calls(search: Search) -> list[str]:
    return [node.name for node in Draft(search.best).graph.nodes if node.op == "call_function"]


def _absorbed(search: Search, names: Sequence[str]) -> bool:
    recording = search.recording
    wanted = set(names)

    def change(draft: Draft) -> None:
        replace_by_recorded(draft, [node for node in draft.graph.nodes if node.name in wanted], recording)

    before = search.size
    return search.edit(change) and search.size <= before


def replace_by_recorded(draft: Draft, nodes: Sequence[Node], recording: Recording) -> None:
    """Give recorded values to what uses the values of these nodes from outside of them: a tensor becomes an argument of
    the program, a number stays a number.
    """
    inside = set(_with_parts(nodes))
    for node in [node for node in draft.graph.nodes if node in inside]:
        outside = [user for user in node.users if user not in inside]
        if not outside:
            continue
        values = recording.of(node.name)
        if all(isinstance(value, torch.Tensor) for value in values):
            made = draft.new_input(node, values)
            node.replace_all_uses_with(made, delete_user_cb=lambda user: user not in inside)
        elif all(type(value) in (int, float, bool) and value == values[0] for value in values):
            for user in outside:
                put_instead(user, node, values[0])
        else:
            raise Unsuitable(f"no argument can have the value of {node.name}")
    for node in reversed([node for node in draft.graph.nodes if node in inside]):
        if not node.users:  # one that writes to its arguments is not dead to torch
            draft.graph.erase_node(node)


def put_instead(user: Node, node: Node, value: Any) -> None:
    """Put a number in the place of a node, in the arguments of one that uses it."""
    user.args, user.kwargs = torch.fx.node.map_arg(
        (user.args, user.kwargs), lambda given: value if given is node else given
    )


def _with_parts(nodes: Sequence[Node]) -> list[Node]:
    """Return the nodes with those that fetch one of several results of them."""
    found = dict.fromkeys(nodes)
    for node in nodes:
        if not _is_tensor(node):
            found |= dict.fromkeys(user for user in node.users if user.target is operator.getitem)
    return list(found)


def _is_tensor(node: Node) -> bool:
    return isinstance(node.meta.get("val"), torch.Tensor)
