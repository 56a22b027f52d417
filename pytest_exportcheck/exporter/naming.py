"""Names: placeholders are called after what they are, nodes give way to them."""

from __future__ import annotations

import re
from collections.abc import Iterable

import torch

PREFIXES = {"parameter": "p_", "buffer": "b_", "constant": "c_", "object": "obj_"}


def state_name(kind: str, target: str) -> str:
    """What the placeholder of a part of the state is called, but for collisions: as torch has it, without ``self_`` in front."""
    name = re.sub(r"[^a-zA-Z0-9]", "_", target.removeprefix("self_")).lower()
    return PREFIXES[kind] + name


def rename(graph: torch.fx.Graph, wanted: dict[torch.fx.Node, str], first: Iterable[torch.fx.Node]) -> None:
    """Call the placeholders what is wanted, those in ``first`` before the others; a node whose name is taken gets a number."""
    taken: dict[str, int] = {}
    used: set[str] = set()

    def free(name: str, counted: bool) -> str:
        if name not in used:
            return name
        stem, number = (name, 0) if counted else _split(name)
        while True:
            taken[stem] = taken.get(stem, number) + 1
            if f"{stem}_{taken[stem]}" not in used:
                return f"{stem}_{taken[stem]}"

    placeholders = [*first, *(node for node in wanted if node not in set(first))]
    names = {}
    for node in placeholders:
        names[node] = free(wanted[node], counted=True)
        used.add(names[node])
    for node in graph.nodes:
        if node not in names:
            names[node] = free(node.name, counted=False)
            used.add(names[node])
    for node, name in names.items():
        node.name = node._name = name
        if node.op == "placeholder":
            node.target = name


def _split(name: str) -> tuple[str, int]:
    stem, _, number = name.rpartition("_")
    return (stem, int(number)) if stem and number.isdigit() else (name, 0)
