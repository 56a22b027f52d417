"""The few nodes around an origin, for a drawing: what the origin takes, what uses it, and what they take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from pytest_exportcheck.checks.compare.alignment import refs
from pytest_exportcheck.records import NearNode, NodeRecord

#: Nodes at most.
_MOST = 8
#: Inputs of one node, and users of one, that are looked at.
_INPUTS, _USERS = 3, 2
#: Names of inputs of a node that are kept.
MOST_INPUTS = 8


def near_node(nodes: Sequence[NodeRecord], name: str, place: Callable[[NodeRecord], str]) -> tuple[NearNode, ...]:
    """Return the nodes around one of a program, in their order; none where the program has no such node."""
    known = {node.name: node for node in nodes}
    inputs = {node.name: [ref.name for ref in refs(node)] for node in nodes}
    return tuple(
        NearNode(
            name=place(known[each]),
            operator=known[each].target if known[each].op == "call_function" else known[each].op,
            inputs=tuple(place(known[ref]) if ref in known else ref for ref in dict.fromkeys(inputs[each]))[
                :MOST_INPUTS
            ],
            is_origin=each == name,
        )
        for each in nearest(inputs, name)
    )


def nearest(inputs: Mapping[str, Sequence[str]], name: str) -> list[str]:
    """Return the nearest names, in the order of the mapping. Inputs come before users at each step."""
    users: dict[str, list[str]] = {}
    for user, names in inputs.items():
        for each in dict.fromkeys(names):
            users.setdefault(each, []).append(user)
    found = dict.fromkeys(_outwards(inputs, users, name))
    return [each for each in inputs if each in found]


def _outwards(inputs: Mapping[str, Sequence[str]], users: Mapping[str, Sequence[str]], name: str) -> Iterator[str]:
    """Yield the name and those around it, step by step."""
    seen = {name} if name in inputs else set()
    step = list(seen)
    while step and len(seen) <= _MOST:
        yield from step
        following = [near for each in step for near in dict.fromkeys(inputs[each]) if near in inputs][
            : _INPUTS * len(step)
        ]
        following += [near for each in step for near in users.get(each, ())[:_USERS]]
        step = [each for each in dict.fromkeys(following) if each not in seen][: _MOST - len(seen)]
        seen.update(step)
