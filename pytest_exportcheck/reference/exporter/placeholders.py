"""Names: placeholders are named after what they are, and nodes give way to them."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

from pytest_exportcheck.reference._torch.values import rename_node


def state_name(prefix: str, target: str) -> str:
    """Return the wanted name of the placeholder of a part of the state, as torch spells it: without ``self_`` in
    front.
    """
    return prefix + re.sub(r"[^a-zA-Z0-9]", "_", target.removeprefix("self_")).lower()


def rename(graph: torch.fx.Graph, wanted: Mapping[torch.fx.Node, str]) -> None:
    """Give the placeholders the wanted names, the first ones first; a name that is taken gets a number, and so do nodes
    of a wanted name.
    """
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

    names = {}
    for node, name in wanted.items():
        names[node] = free(name, counted=True)
        used.add(names[node])
    for node in graph.nodes:
        if node not in names:
            names[node] = free(node.name, counted=False)
            used.add(names[node])
    for node, name in names.items():
        rename_node(node, name)
        if node.op == "placeholder":
            node.target = name


def _split(name: str) -> tuple[str, int]:
    stem, _, number = name.rpartition("_")
    return (stem, int(number)) if stem and number.isdigit() else (name, 0)
