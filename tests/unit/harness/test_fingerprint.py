"""A fingerprint changes in exactly the part of a program that was edited."""

from __future__ import annotations

import pytest
import torch
from torch.utils._sympy.value_ranges import ValueRanges

from pytest_exportcheck.harness.fingerprint import edited, fingerprint


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3))
        self.register_buffer("shift", torch.zeros(3))
        self.register_buffer("few", torch.ones(3, dtype=torch.bool))
        self.constant = torch.ones(3)

    def forward(self, x):
        y = torch.cond(x.sum() > 0, lambda x: x.sin(), lambda x: x.cos(), (x,))
        return torch.add(y * self.weight + self.shift * self.constant, y * self.few, alpha=2)


@pytest.fixture
def program():
    batch = torch.export.Dim("batch", min=2, max=8)
    return torch.export.export(Net(), (torch.ones(4, 3),), dynamic_shapes=({0: batch},))


@pytest.fixture
def parts_edited(program):
    """Which parts an edit of the program changes."""

    def after(edit):
        before = fingerprint(program)
        edit(program)
        return edited(before, fingerprint(program))

    return after


def node(program, target):
    return next(each for each in program.graph.nodes if target in str(each.target))


def subgraph_node(program):
    (graph, *_) = (each for name, each in program.graph_module.named_children() if "true_graph" in name)
    return next(each for each in graph.graph.nodes if each.op == "call_function")


def test_a_program_that_nobody_touches_keeps_its_fingerprint(parts_edited):
    assert parts_edited(lambda program: None) == ()


def test_making_and_running_its_module_changes_nothing(parts_edited):
    def use(program):
        module = program.module()
        module(torch.ones(4, 3))
        module(-torch.ones(5, 3))

    assert parts_edited(use) == ()


def test_decomposing_and_saving_changes_nothing(parts_edited, tmp_path):
    def use(program):
        program.run_decompositions()
        torch.export.save(program, tmp_path / "program.pt2")

    assert parts_edited(use) == ()


def test_an_argument_of_a_node_is_graph(parts_edited):
    def edit(program):
        multiply = node(program, "mul")
        multiply.args = (multiply.args[1], multiply.args[0])

    assert parts_edited(edit) == ("graph",)


def test_a_keyword_of_a_node_is_graph(parts_edited):
    def edit(program):
        add = next(each for each in program.graph.nodes if each.kwargs)
        add.kwargs = {"alpha": 3}

    assert parts_edited(edit) == ("graph",)


def test_the_target_of_a_node_in_a_subgraph_is_graph(parts_edited):
    def edit(program):
        subgraph_node(program).target = torch.ops.aten.tan.default

    assert parts_edited(edit) == ("graph",)


def test_an_added_node_is_graph(parts_edited):
    def edit(program):
        with program.graph.inserting_before(node(program, "mul")):
            program.graph.call_function(torch.ops.aten.ones.default, ([1],))

    assert "graph" in parts_edited(edit)


@pytest.mark.parametrize("key", ["stack_trace", "mine"])
def test_a_key_of_a_subgraph_nodes_metadata_is_metadata(parts_edited, key):
    def edit(program):
        subgraph_node(program).meta[key] = "edited"

    assert parts_edited(edit) == ("metadata",)


def test_a_deleted_key_is_metadata(parts_edited):
    assert parts_edited(lambda program: node(program, "mul").meta.pop("val")) == ("metadata",)


def test_another_shape_is_metadata(parts_edited):
    def edit(program):
        multiply = node(program, "mul")
        multiply.meta["val"] = multiply.meta["val"][:, :2]

    assert parts_edited(edit) == ("metadata",)


def test_an_entry_of_a_dict_in_the_metadata_is_metadata(parts_edited):
    def edit(program):
        next(each for each in program.graph.nodes if each.meta.get("nn_module_stack")).meta["nn_module_stack"]["x"] = 1

    assert parts_edited(edit) == ("metadata",)


def test_an_input_spec_is_signature(parts_edited):
    def edit(program):
        program.graph_signature.input_specs[0].target = "other"

    assert parts_edited(edit) == ("signature",)


def test_an_output_spec_is_signature(parts_edited):
    def edit(program):
        program.graph_signature.output_specs.append(program.graph_signature.output_specs[0])

    assert parts_edited(edit) == ("signature",)


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("name", ["weight", "shift", "few"])
def test_one_element_of_a_tensor_is_state_even_behind_the_version_counter(parts_edited, name, place):
    def edit(program):
        tensor = program.state_dict[name]
        version = tensor._version
        tensor.data[place] = 0 if tensor.data[place] else 1
        assert tensor._version == version

    assert parts_edited(edit) == ("state",)


def test_an_update_that_cancels_out_in_a_sum_is_state(parts_edited):
    def edit(program):
        with torch.no_grad():
            program.state_dict["few"].copy_(program.state_dict["few"].flip(0))

    assert parts_edited(edit) == ("state",)


def test_another_tensor_of_equal_values_is_state(parts_edited):
    def edit(program):
        program.state_dict["weight"] = torch.nn.Parameter(program.state_dict["weight"].detach().clone())

    assert parts_edited(edit) == ("state",)


def test_the_order_of_the_state_is_state(parts_edited):
    def edit(program):
        program.state_dict["weight"] = program.state_dict.pop("weight")

    assert parts_edited(edit) == ("state",)


def test_an_element_of_a_constant_is_state(parts_edited):
    def edit(program):
        program.constants["constant"].data[1] = 5

    assert parts_edited(edit) == ("state",)


def test_a_state_tensor_with_an_odd_stride_can_be_fingerprinted():
    net = torch.nn.Module()
    net.register_buffer("first", torch.zeros(4)[::2][:1])
    net.forward = lambda x: x + net.first
    program = torch.export.export(net, (torch.ones(1),))
    before = fingerprint(program)
    program.state_dict["first"].data.add_(1)
    assert edited(before, fingerprint(program)) == ("state",)


def test_a_range_constraint_is_constraints(parts_edited):
    def edit(program):
        (symbol,) = program.range_constraints
        program.range_constraints[symbol] = ValueRanges(2, 5)

    assert parts_edited(edit) == ("constraints",)


def test_edited_names_the_parts_in_their_order():
    assert edited({"graph": "1", "state": "2", "signature": "3"}, {"graph": "x", "state": "2", "signature": "y"}) == (
        "graph",
        "signature",
    )
