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
    for node, name in {**wanted, **{node: node.name for node in graph.nodes if node not in wanted}}.items():
        if name in used:
            stem, number = (name, 0) if node in wanted else _split(name)
            taken.setdefault(stem, number)
            while name in used:
                taken[stem] += 1
                name = f"{stem}_{taken[stem]}"
        used.add(name)
        rename_node(node, name)
        if node.op == "placeholder":
            node.target = name


def _split(name: str) -> tuple[str, int]:
    stem, _, number = name.rpartition("_")
    return (stem, int(number)) if stem and number.isdigit() else (name, 0)
