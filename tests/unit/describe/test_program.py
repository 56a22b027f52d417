"""What is written down of an exported program."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import cast

import pytest
import torch
from torch._higher_order_ops.while_loop import while_loop
from torch.export import Dim

from pytest_exportcheck.checks import align, nodes
from pytest_exportcheck.checks.val import val_differences
from pytest_exportcheck.describe import program_of
from pytest_exportcheck.records import GraphRef, Interval, NodeRef, SpecRecord

B = Dim("b", min=2, max=10)


def exported(forward, *args, shapes=None, strict=False, **kwargs):
    module = type("Net", (torch.nn.Module,), {"forward": forward})()
    return torch.export.export(module, args, kwargs, dynamic_shapes=shapes, strict=strict)


def plus_one(self, x):
    return torch.add(x, 1, alpha=2)


def branches(self, x):
    return torch.cond(x.sum() > 0, lambda v: v + 1, lambda v: v * 2, (x,))


def sizes(self, x):
    n = x.sum().item()
    torch._check(n >= 0)
    torch._check(n <= 5)
    return torch.zeros(n), x.nonzero()


def test_nodes_are_plain_data():
    record = program_of(exported(plus_one, torch.ones(2)))
    assert [(node.name, node.op, node.target, node.args, node.kwargs) for node in record.graphs[""].nodes] == [
        ("x", "placeholder", "x", (), {}),
        ("add", "call_function", "aten.add.Tensor", (NodeRef("x"), 1), {"alpha": 2}),
        ("output", "output", "output", ((NodeRef("add"),),), {}),
    ]


def test_subgraphs_go_by_the_argument_that_they_are():
    record = program_of(exported(branches, torch.ones(2)))
    assert list(record.graphs) == ["", "cond[1]", "cond[2]"]
    (cond,) = [node for node in record.graphs[""].nodes if node.target == "cond"]
    assert cond.args[1:3] == (GraphRef("[1]"), GraphRef("[2]"))
    assert "get_attr" not in {node.op for node in record.graphs[""].nodes}


def test_the_signature_is_in_order():
    record = program_of(torch.export.export(torch.nn.Linear(2, 2), (torch.ones(1, 2),)))
    assert record.signature.inputs[0] == SpecRecord("PARAMETER", "p_weight", "weight", None, "TensorArgument")
    assert [spec.kind for spec in record.signature.inputs] == ["PARAMETER", "PARAMETER", "USER_INPUT"]


def test_a_constant_input_has_its_value():
    def forward(self, x, flag, name=None):
        return x + flag

    record = program_of(exported(forward, torch.ones(2), 3))
    assert [spec.value for spec in record.signature.inputs] == ["TensorArgument", "ConstantArgument 3"]


def test_symbols_are_named_after_inputs_in_shapes_and_ranges():
    def forward(self, x, *, y):
        return x.sum(0), y

    record = program_of(exported(forward, torch.ones(4, 2), y=torch.ones(4), shapes={"x": {0: B}, "y": {0: B}}))
    shapes = {place: [str(size) for size in shape] for place, shape in record.constraints.shapes.items()}
    assert shapes == {"args[0]": ["args[0].size(0)", "2"], "kwargs['y']": ["args[0].size(0)"]}
    assert record.constraints.ranges == {"args[0].size(0)": Interval(2, 10)}


def test_inputs_that_are_no_tensors_have_places_too():
    def forward(self, tree, n):
        return tree["a"][0] + n

    record = program_of(exported(forward, {"a": [torch.ones(2)]}, 3))
    assert [(leaf.place, leaf.facts is None) for leaf in record.examples] == [
        ("args[0]['a'][0]", False),
        ("args[1]", True),
    ]


@pytest.mark.parametrize("strict", [False, True])
def test_the_ranges_of_unbacked_symbols_are_there(strict):
    record = program_of(exported(sizes, torch.tensor([1, 2]), strict=strict))
    assert record.constraints.ranges["u0"] == Interval(0, 5)


def both(forward, *args, **options):
    """Two captures; before the second some symbols of its own are used up."""
    first = program_of(exported(forward, *args, **options))
    exported(sizes, torch.tensor([1, 2]))
    return first, program_of(exported(forward, *args, **options))


@pytest.mark.parametrize(
    ("forward", "args", "shapes"),
    [
        (plus_one, (torch.ones(4),), {"x": {0: B}}),
        (branches, (torch.ones(4),), {"x": {0: B}}),
        (sizes, (torch.tensor([1, 2]),), None),
    ],
)
def test_two_captures_of_one_module_are_equal(forward, args, shapes):
    first, second = both(forward, *args, shapes=shapes)
    alignment = align(first, second, "names")
    assert list(nodes._equal(alignment, first)) == []
    ranges = first.constraints.ranges
    assert [each for _, one, other in alignment.pairs() for each in val_differences(one.val, other.val, ranges)] == []
    assert first.constraints.ranges == second.constraints.ranges


def test_strict_and_non_strict_agree_on_the_names_of_sizes():
    pair = [
        program_of(exported(plus_one, torch.ones(4), shapes={"x": {0: B}}, strict=strict)) for strict in (False, True)
    ]
    assert pair[0].constraints.ranges == pair[1].constraints.ranges
    assert pair[0].constraints.shapes == pair[1].constraints.shapes


def test_a_program_without_examples_has_none():
    program = exported(plus_one, torch.ones(2))
    program.example_inputs = None
    assert program_of(program).examples is None


def test_a_program_that_its_verifier_accepts_has_nothing_said_of_it():
    record = program_of(exported(plus_one, torch.ones(2)))
    assert (record.dialect, record.verifiers, record.refused_by) == ("TRAINING", ("TrainingIRVerifier",), None)


def test_what_a_verifier_says_is_written_down():
    program = exported(plus_one, torch.ones(2))
    node = next(node for node in program.graph.nodes if node.op == "call_function")
    node.target = torch.nn.functional.relu
    assert program_of(program).refused_by.type == "TrainingIRVerifier"


def test_the_record_does_not_change_with_the_program():
    program = exported(plus_one, torch.ones(2))
    record = program_of(program)
    for node in program.graph.nodes:
        node.meta.get("nn_module_stack", {}).clear()
        node.meta["custom"] = {"edited": 1}
    assert record.graphs[""].nodes[1].meta["nn_module_stack"] != ()
    assert "custom" not in record.graphs[""].nodes[1].meta


@pytest.mark.parametrize(
    "val", [None, 3, "text", object(), [torch.ones(2), None], torch.eye(2).to_sparse(), (1, (2.5,))]
)
def test_a_val_of_an_odd_type_is_written_down(val):
    program = exported(plus_one, torch.ones(2))
    for node in program.graph.nodes:
        node.meta["val"] = val
    assert len(program_of(program).graphs[""].nodes) == 3


class Loop(torch.nn.Module):
    """Its results begin somewhere in their storage, says the capture: a symbol that nothing else depends on."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 4)
        self.register_buffer("k", torch.ones(4))

    def forward(self, n, x):
        return while_loop(lambda i, y: i > 0, lambda i, y: (i - 1, self.layer(y) + self.k), (n, x))


def test_a_symbol_of_storage_offsets_alone_is_unused():
    program = torch.export.export(Loop(), (torch.tensor(2), torch.ones(4)))
    constraints = program_of(program).constraints
    assert constraints.unused == constraints.ranges.keys() == {"u0"}


class Part(torch.nn.Module):
    def forward(self, x):
        return torch.nonzero(x)[0]


def test_a_symbol_of_a_shape_is_used():
    constraints = program_of(torch.export.export(Part(), (torch.ones(4),))).constraints
    assert (constraints.unused, cast("AbstractSet[str]", constraints.ranges.keys())) == (frozenset[str](), {"u0"})
