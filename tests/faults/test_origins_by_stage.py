"""Each kind of wrong value at each stage: the origin is the faulty node, or a direct user of it. One of the stages,
unflatten, makes modules with graphs instead of a program.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import pytest
import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node

from pytest_exportcheck.describe.freeze import target_text
from pytest_exportcheck.engines.bare import as_engine
from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.records import Case, DifferenceOrigin, Origin
from pytest_exportcheck.run.runner import Runner
from tests.faults.editing import aten
from tests.faults.engine import faulty_engine

STAGES = ("strict", "nonstrict-decompose", "nonstrict-serdes", "nonstrict-retrace", "nonstrict-unflatten")


class Block(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(6, 6)
        self.norm = torch.nn.BatchNorm1d(6)
        self.register_buffer("scale", torch.tensor([1.0, 2.0, 3.0, 1.0, 2.0, 3.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.gelu(self.norm(self.linear(x))) * self.scale - x


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = Block(), Block()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.two(self.one(x))
        steps = (h * 3).to(torch.int32).to(torch.float32) / 4
        chosen = torch.where(h > 0, h.sin(), h.cos())
        return torch.softmax(chosen + steps, dim=-1).tanh()


CASE = Case(name="net", build=Net, origin=Origin(__name__, __file__, 1), args=lambda: (torch.randn(5, 6),))

#: The faulty nodes, by name.
Edited: TypeAlias = set[str]
Kind: TypeAlias = Callable[[Sequence[Any]], Edited]


def _find(owners: Sequence[Any], *operators: str, last: bool = False) -> Node:
    found = [
        node
        for owner in owners
        for node in owner.graph.nodes
        if node.op == "call_function" and target_text(node.target).startswith(operators)
    ]
    return found[-1 if last else 0]


def _insert(node: Node, operator: Any, *args: Any) -> Node:
    """Apply an operator to the first argument of a node."""
    given = node.args[0]
    assert isinstance(given, Node)
    with node.graph.inserting_before(node):
        made = node.graph.call_function(operator, (given, *args))
    made.meta = dict(given.meta)
    node.args = (made, *node.args[1:])
    return made


def operands_swapped(owners: Sequence[Any]) -> Edited:
    node = _find(owners, "aten.sub", last=True)
    node.args = (node.args[1], node.args[0])
    return {node.name}


def batch_norm_fused_wrongly(owners: Sequence[Any]) -> Edited:
    node = _find(owners, "aten.batch_norm", "aten._native_batch_norm")
    place = 7 if target_text(node.target).startswith("aten.batch_norm") else 6
    node.args = (*node.args[:place], 0.1, *node.args[place + 1 :])
    return {node.name}


def decomposed_wrongly(owners: Sequence[Any]) -> Edited:
    node = _find(owners, "aten.gelu")
    node.kwargs = {"approximate": "tanh"}
    return {node.name}


def cast_dropped(owners: Sequence[Any]) -> Edited:
    """The next cast gets the numbers that were not cut: it is the one that yields another value."""
    node = _find(owners, "aten.to.dtype", "aten._to_copy")
    for user in [*node.users]:
        if "_assert_tensor_metadata" in target_text(user.target):
            node.graph.erase_node(user)
    users = {user.name for user in node.users}
    node.replace_all_uses_with(node.all_input_nodes[0])
    node.graph.erase_node(node)
    return users


def size_baked(owners: Sequence[Any]) -> Edited:
    node = _find(owners, "aten.div")
    node.args = (node.args[0], 5)
    return {node.name}


def constant_replaced(owners: Sequence[Any]) -> Edited:
    """The factor of another channel: the buffer is read in another order."""
    nodes = [node for owner in owners for node in owner.graph.nodes if node.op == "call_function"]
    node = next(each for each in nodes if target_text(each.target) == "aten.mul.Tensor" and _reads_two(each))
    factor = node.all_input_nodes[1]
    with node.graph.inserting_before(node):
        other = node.graph.call_function(aten.flip.default, (factor, [0]))
    other.meta = dict(factor.meta)
    node.args = (node.args[0], other)
    return {other.name}


def _reads_two(node: Node) -> bool:
    return len(node.all_input_nodes) == 2


def wrong_branch(owners: Sequence[Any]) -> Edited:
    node = _find(owners, "aten.where")
    node.args = (node.args[0], node.args[2], node.args[1])
    return {node.name}


def rewritten_badly(owners: Sequence[Any]) -> Edited:
    """``(x + c) - c`` with a large c."""
    node = _find(owners, "aten.softmax", "aten._softmax")
    return {_insert(node, aten.add.Tensor, 1e6).name, _insert(node, aten.sub.Tensor, 1e6).name}


def nan_in_the_middle(owners: Sequence[Any]) -> Edited:
    return {_insert(_find(owners, "aten.gelu", last=True), aten.log.default).name}


KINDS: Mapping[str, Kind] = {
    kind.__name__: kind
    for kind in (
        operands_swapped,
        batch_norm_fused_wrongly,
        decomposed_wrongly,
        cast_dropped,
        size_baked,
        constant_replaced,
        wrong_branch,
        rewritten_badly,
        nan_in_the_middle,
    )
}


class FaultyUnflatten(TorchExport):
    """``torch.export``, with an edit of the modules that unflatten makes."""

    def __init__(self, inject: Callable[[Any], None]) -> None:
        self._inject = inject

    def unflatten(self, program: ExportedProgram) -> Any:
        made = super().unflatten(program)
        self._inject(made)
        for module in made.modules():
            if isinstance(getattr(module, "graph_module", None), GraphModule):
                module.graph_module.recompile()
        return made


def _origin_of(kind: Kind, where: str) -> tuple[DifferenceOrigin, Edited, Edited]:
    """The origin, the names of the faulty nodes, and of those that use them."""
    edited: Edited = set()
    users: Edited = set()

    def inject(made: Any) -> None:
        program = isinstance(made, ExportedProgram)
        owners = [made.graph_module] if program else [m for m in made.modules() if hasattr(m, "graph")]
        edited.update(kind(owners))
        nodes = [node for owner in owners for node in owner.graph.nodes]
        users.update(user.name for node in nodes if node.name in edited for user in node.users)

    mode = Mode.parse(where)
    unflattening = mode.last == "unflatten"
    engine = as_engine(FaultyUnflatten(inject)) if unflattening else faulty_engine(mode.depth, inject)
    runner = Runner({engine.name: engine}, threads=1)
    runner.select([(CASE, engine.name, mode)])
    outcome = runner.run(CASE, engine.name, mode)
    found = [each.origin for each in outcome.findings if each.check == "outputs" and each.origin is not None]
    assert found, (where, outcome.findings)
    return found[0], edited, users


def test_a_node_within_an_unflattened_module_is_named_with_its_module_and_its_line():
    origin, edited, _ = _origin_of(operands_swapped, "nonstrict-unflatten")
    assert origin.kind == "changed"
    assert origin.after is not None
    assert origin.before is not None
    assert {origin.after.name} == edited
    assert origin.after.module == "two (Block)"
    assert origin.before.call.startswith("aten.sub.Tensor(%mul")
    assert origin.after.call.endswith(f", {origin.before.call.partition('(')[2].partition(',')[0]})")
    assert ".norm(self.linear(x))) * self.scale - x" in origin.after.line
    assert [row.inputs_agree for row in origin.rows] == [True, *[False] * (len(origin.rows) - 1)]


def test_a_buffer_of_an_unflattened_module_that_holds_another_value_is_named():
    def overwritten(owners: Sequence[Any]) -> Edited:
        with torch.no_grad():
            owners[0].one.scale = owners[0].one.scale + 1
        return {"one.scale"}

    origin, _, _ = _origin_of(overwritten, "nonstrict-unflatten")
    assert origin.kind == "state"
    assert origin.after is not None
    assert origin.after.name == "one.scale"
    assert not any(row.inputs_agree for row in origin.rows)


def refused(owners: Sequence[Any]) -> Edited:
    """A node that cannot run."""
    node = _find(owners, "aten.gelu", last=True)
    node.kwargs = {"approximate": "nearly"}
    return {node.name}


def test_a_node_that_raises_within_an_unflattened_module_is_named():
    origin, edited, _ = _origin_of(refused, "nonstrict-unflatten")
    assert origin.kind == "raised"
    assert origin.after is not None
    assert {origin.after.name} == edited
    assert origin.after.module == "two (Block)"


#: Without the first cast the second one is not an operator: a number that is not cast first shows in its user.
_IN_THE_USER = {("nonstrict-unflatten", "cast_dropped")}


@pytest.mark.slow
@pytest.mark.parametrize("where", STAGES)
def test_every_kind_at_every_stage_is_named(where):
    results = {name: _origin_of(kind, where) for name, kind in KINDS.items()}
    names = {name: origin.after.name if origin.after else "" for name, (origin, _, _) in results.items()}
    missed = {name for name, (_, edited, _) in results.items() if names[name] not in edited}
    far = {name for name, (_, edited, users) in results.items() if names[name] not in edited | users}
    assert far == set(), names
    assert {(where, name) for name in missed} <= _IN_THE_USER, names
    nonfinite = {name for name, (origin, _, _) in results.items() if origin.nonfinite}
    assert nonfinite == {"nan_in_the_middle"}
    passed_on = [row.inputs_agree for origin, _, _ in results.values() for row in origin.rows[1:]]
    assert not any(passed_on)
