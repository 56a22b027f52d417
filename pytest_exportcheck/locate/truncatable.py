"""The values of a program at which it can be truncated, in order, and what each of them depends on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from pytest_exportcheck.checks.compare.alignment import refs
from pytest_exportcheck.harness.tensors import copy_tree
from pytest_exportcheck.locate.sides import Side
from pytest_exportcheck.records import Inputs, NodeRecord

#: Operators whose values are whatever memory holds.
_UNINITIALISED = ("aten.empty", "aten.new_empty")


@dataclass(frozen=True, eq=False)
class Truncatable:
    """A program with the values that it computes in one call, by the names of the nodes. ``order`` has the names of
    those that a truncated program can return: tensors that something uses.
    """

    side: Side
    values: Mapping[str, Any]

    @staticmethod
    def of(side: Side, call: Inputs) -> Truncatable:
        """Run a program, and copy the value of each node as it is before the next one runs."""
        run = side.run(call)
        return Truncatable(side, {node.name: _kept(value, side) for node, value in run.steps() if node.op != "output"})

    @cached_property
    def order(self) -> tuple[str, ...]:
        """Return the names of the values that can be returned, in the order of the graph."""
        return tuple(
            node.name
            for node in self.side.graph.nodes
            if node.op == "call_function" and self._is_tensor(node.name) and node.name in self._last_use
        )

    @property
    def given(self) -> list[str]:
        """Return the names of the inputs of the user that are tensors."""
        signature = self.side.program.graph_signature
        return [name for name in signature.user_inputs if isinstance(name, str) and self._is_tensor(name)]

    def inputs(self, name: str) -> list[str]:
        """Return the values of ``order`` that a node takes: for one that fetches a result of another node, those that the
        other one takes.
        """
        return [each for each in dict.fromkeys(self._inputs(name)) if each in self._positions]

    def given_to(self, name: str) -> list[str]:
        """Return the inputs of the user that a node takes."""
        given = set(self.given)
        return [ref.name for ref in refs(self.side.nodes[self.owner(name)]) if ref.name in given]

    def live(self, position: int) -> list[str]:
        """Return the value at a position of ``order`` and those before it that are used after it."""
        place = self._positions[self.order[position]]
        kept = [each for each in self.order[:position] if self._last_use[each] > place]
        return [*kept, self.order[position]]

    def owner(self, name: str) -> str:
        """Return the node that computes a value."""
        node = self.side.nodes[name]
        return refs(node)[0].name if "getitem" in node.facts else name

    def parts(self, name: str) -> list[str]:
        """Return the values of ``order`` that a node computes: several where it has several results."""
        return [each for each in self.order if self.owner(each) == self.owner(name)]

    @property
    def bytes(self) -> int:
        """Return the size of all values of ``order``."""
        found = (self.values[name] for name in self.order)
        return sum(each.numel() * each.element_size() for each in found)

    # --- what depends on what ---------------------------------------------------------------

    def _is_tensor(self, name: str) -> bool:
        value = self.values.get(name)
        is_plain = isinstance(value, torch.Tensor) and value.layout is torch.strided and not value.is_nested
        return is_plain and not self.side.nodes[name].target.startswith(_UNINITIALISED)

    def _inputs(self, name: str) -> Iterator[str]:
        for each in self._taken[self.owner(name)]:
            node = self.side.nodes.get(each)
            if node is None or node.op != "call_function":
                continue
            if self._is_tensor(each):
                yield each
            else:
                yield from self._inputs(each)

    @cached_property
    def _positions(self) -> Mapping[str, int]:
        wanted = set(self.order)
        return {node.name: place for place, node in enumerate(self.side.graph.nodes) if node.name in wanted}

    @cached_property
    def _taken(self) -> Mapping[str, Sequence[str]]:
        """Return the nodes that each node depends on: those that it names, and those that wrote to their values."""
        found: dict[str, Sequence[str]] = {}
        root: dict[str, str] = {}
        writer: dict[str, str] = {}
        for node in self.side.graph.nodes:
            named = [ref.name for ref in refs(node)]
            found[node.name] = [*named, *(writer[each] for each in _roots(named, root) if each in writer)]
            if node.facts & {"view", "mutates", "getitem"} and named:
                root[node.name] = root.get(named[0], named[0])
            if "mutates" in node.facts and named:
                writer[root[node.name]] = node.name
        return found

    @cached_property
    def _last_use(self) -> Mapping[str, float]:
        """Return the place of the last node that uses a value, by its name. What writes to a placeholder is used by
        the caller.
        """
        found: dict[str, float] = {}
        for place, node in enumerate(self.side.graph.nodes):
            for each in self._taken[node.name]:
                found[each] = math.inf if node.op == "output" else place
            if self._writes_outside(node):
                found[node.name] = math.inf
        for name in reversed([each.name for each in self.side.graph.nodes]):  # a result is used where its owner is
            if name in found and not self._is_tensor(name):
                for each in self._taken[name]:
                    found[each] = max(found.get(each, 0), found[name])
        return found

    def _writes_outside(self, node: NodeRecord) -> bool:
        if "mutates" not in node.facts:
            return False
        name = node.name
        while self.side.nodes[name].facts & {"view", "mutates", "getitem"} and refs(self.side.nodes[name]):
            name = refs(self.side.nodes[name])[0].name
        return self.side.nodes[name].op == "placeholder"


def _roots(names: Sequence[str], root: Mapping[str, str]) -> list[str]:
    return [root.get(each, each) for each in names]


def _kept(value: Any, side: Side) -> Any:
    if isinstance(value, torch.Tensor):
        value = value.detach()
    return copy_tree(value) if side.writes else value
