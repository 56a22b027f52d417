"""Programs that differ in names and in an order that means nothing have one canonical form; others have not."""

from __future__ import annotations

import random

import msgspec
import pytest
import torch
from torch.export import export

from pytest_exportcheck import reference
from pytest_exportcheck.reference.pt2.canonical import _names_in, _renamed, canonicalize
from pytest_exportcheck.reference.pt2.convert.program import from_structures
from pytest_exportcheck.reference.pt2.json.codec import decode_program, encode_program
from pytest_exportcheck.reference.pt2.program.from_plain import build_program
from tests.unit.serde_programs import PROGRAMS


class Shared(torch.nn.Module):
    """One input, used in many ways; two equal nodes whose users differ."""

    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
        self.register_buffer("calls", torch.zeros(2))

    def forward(self, x, y):
        one, two, same = x.sin(), x.cos(), x.sin()
        parts = torch.split(self.first(one) + self.second(y), 2)
        return {
            "a": one * 2 + two,
            "b": same - parts[0].sum(),
            "c": torch.cond(x.sum() > 0, torch.sin, torch.cos, (y,)),
        }


class Writes(torch.nn.Module):
    def __init__(self, early):
        super().__init__()
        self.early = early

    def forward(self, x):
        view = x.view(-1)
        if self.early:
            seen = view * 2
            x.add_(1)
            return seen
        x.add_(1)
        return view * 2


class Draws(torch.nn.Module):
    def __init__(self, swapped):
        super().__init__()
        self.swapped = swapped

    def forward(self, x):
        if self.swapped:
            second, first = torch.rand(3), torch.randn(3)
        else:
            first, second = torch.randn(3), torch.rand(3)
        return first + x, second + x


def structures(module, args):
    return decode(reference.serialize(export(module, args)).exported_program)


def decode(data):
    found, _ = decode_program(data, where="test")
    return found


def shared():
    torch.manual_seed(0)
    return structures(Shared(), (torch.randn(4, 4), torch.randn(4, 4)))


def canonical_bytes(program):
    return encode_program(canonicalize(program))


def scrambled(program, seed):
    """The program under other names, its nodes in another order that their arguments allow, its state in any order."""
    chance = random.Random(seed)
    module = program.graph_module
    graph, signature = module.graph, module.signature

    def rename(name):
        return f"n{chance.random()}" if name not in table else table[name]

    table: dict[str, str] = {}
    for name in [*_names_in(graph.inputs), *_names_in(graph.nodes)]:
        table.setdefault(name, f"n{chance.random()}")
    left, done, nodes = list(graph.nodes), set(_names_in(graph.inputs)), []
    while left:
        ready = [node for node in left if set(_names_in(node.inputs)) <= done]
        node = chance.choice(ready)
        left.remove(node)
        nodes.append(node)
        done |= set(_names_in(node.outputs))
    places = list(range(len(graph.inputs)))
    state = [place for place in places if signature.input_specs[place].tag != "user_input"]
    moved = chance.sample(state, len(state)) + [place for place in places if place not in state]

    def values(entries):
        pairs = [(table[name], _renamed(value, rename)) for name, value in entries.items()]
        return dict(chance.sample(pairs, len(pairs)))

    graph = msgspec.structs.replace(
        graph,
        inputs=[_renamed(graph.inputs[place], rename) for place in moved],
        outputs=_renamed(graph.outputs, rename),
        nodes=_renamed(nodes, rename),
        tensor_values=values(graph.tensor_values),
        sym_int_values=values(graph.sym_int_values),
        sym_bool_values=values(graph.sym_bool_values),
    )
    signature = msgspec.structs.replace(
        signature,
        input_specs=[_renamed(signature.input_specs[place], rename) for place in moved],
        output_specs=_renamed(signature.output_specs, rename),
    )
    calls = _renamed(module.module_call_graph, rename)
    changed = msgspec.structs.replace(module, graph=graph, signature=signature, module_call_graph=calls)
    return msgspec.structs.replace(program, graph_module=changed)


@pytest.mark.parametrize("seed", range(20))
def test_names_and_free_orders_mean_nothing(seed):
    program = shared()
    assert canonical_bytes(scrambled(program, seed)) == canonical_bytes(program)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_canonical_program_is_its_own_canonical_form(name):
    once = canonicalize(decode(reference.serialize(PROGRAMS[name]()).exported_program))
    assert encode_program(canonicalize(once)) == encode_program(once)


def test_a_canonical_program_computes_the_same():
    torch.manual_seed(0)
    program = export(Shared(), (torch.randn(4, 4), torch.randn(4, 4)))
    canonical = canonicalize(decode(reference.serialize(program).exported_program))
    after = build_program(
        from_structures(canonical), state=program.state_dict, constants=program.constants, example_inputs=None
    )
    calls = [torch.randn(4, 4), torch.randn(4, 4)]
    got, expected = after.module()(*calls), program.module()(*calls)
    assert {key: value.tolist() for key, value in got.items()} == {key: each.tolist() for key, each in expected.items()}


def test_what_is_computed_otherwise_differs():
    class Other(Shared):
        def forward(self, x, y):
            return super().forward(y, x)

    torch.manual_seed(0)
    other = structures(Other(), (torch.randn(4, 4), torch.randn(4, 4)))
    assert canonical_bytes(other) != canonical_bytes(shared())


def targets(program):
    return [node.target.rpartition(".aten.")[2] for node in canonicalize(program).graph_module.graph.nodes]


def test_nothing_moves_over_a_node_that_writes():
    x = torch.ones(2, 2)
    assert targets(structures(Writes(early=True), (x,))) == ["view.default", "mul.Tensor", "add_.Tensor"]
    assert targets(structures(Writes(early=False), (x,))) == ["view.default", "add_.Tensor", "mul.Tensor"]


def test_random_operators_keep_their_order():
    for swapped, names in ((False, ["randn.default", "rand.default"]), (True, ["rand.default", "randn.default"])):
        found = targets(structures(Draws(swapped), (torch.ones(3),)))
        assert [each for each in found if each != "add.Tensor"] == names


def test_bytes_give_bytes():
    data = reference.serialize(export(Writes(early=True), (torch.ones(2),))).exported_program
    assert reference.canonicalize(data) == canonical_bytes(decode(data))
    assert reference.canonicalize(decode(data)) == canonicalize(decode(data))


def test_a_program_itself_is_no_json():
    with pytest.raises(
        TypeError,
        match=r"canonicalize takes a serialized program, got an ExportedProgram\. Pass serialize\(program\)\.exported_program\.",
    ):
        reference.canonicalize(export(Writes(early=True), (torch.ones(2),)))
