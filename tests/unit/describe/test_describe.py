"""Records of modules and programs: names, kinds, tying, order, and how they are called."""

from __future__ import annotations

import torch
import torch.utils._pytree as pytree

from pytest_exportcheck.describe import call_spec_of, call_spec_of_call, state_of


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(4))
        self.twin = self.weight
        self.register_buffer("front", self.weight.detach()[:2])
        self.register_buffer("cache", torch.zeros(1), persistent=False)
        self.plain = torch.zeros(1)

    def forward(self, x, *, scale):
        return {"y": x * self.weight * scale}


def test_entries_have_kinds_and_persistence():
    kinds = {name: (entry.kind, entry.persistent) for name, entry in state_of(Net()).entries.items()}
    assert kinds == {
        "weight": ("parameter", True),
        "twin": ("parameter", True),
        "front": ("buffer", True),
        "cache": ("buffer", False),
        "plain": ("attribute", False),
    }


def test_one_tensor_under_two_names_is_tied_to_the_first():
    entries = state_of(Net()).entries
    assert (entries["weight"].tied_to, entries["twin"].tied_to) == ("weight", "weight")


def test_a_view_shares_storage_but_is_not_tied():
    front = state_of(Net()).entries["front"]
    assert (front.tied_to, front.shares_with) == ("front", "weight")


def test_empty_tensors_share_nothing():
    net = torch.nn.Module()
    net.register_buffer("a", torch.empty(0))
    net.register_buffer("b", torch.empty(0))
    assert state_of(net).entries["b"].shares_with == "b"


def test_a_buffer_that_is_none_is_no_entry():
    net = torch.nn.Module()
    net.register_buffer("mask", None)
    assert state_of(net).entries == {}


def test_order_is_that_of_the_state_dict():
    assert state_of(Net()).order == ("weight", "twin", "front")


def test_an_entry_holds_the_tensor_itself():
    net = Net()
    assert state_of(net).entries["weight"].value is net.weight


def test_a_call_has_the_spec_of_its_arguments_and_the_names_of_parameters():
    structure = pytree.tree_structure({"y": 1})
    spec = call_spec_of_call(Net(), (1,), {"scale": 2}, structure)
    inputs = pytree.tree_structure(((1,), {"scale": 2}))
    assert (spec.inputs, spec.outputs, spec.names) == (inputs, structure, ("x", "scale"))


def test_a_call_of_any_number_of_arguments_has_no_names():
    class Variadic(torch.nn.Module):
        def forward(self, *tensors): ...

    assert call_spec_of_call(Variadic(), (1,), {}, None).names is None


def test_a_program_states_the_spec_with_which_it_was_captured():
    net, args, kwargs = Net(), (torch.ones(4),), {"scale": torch.ones(1)}
    spec = call_spec_of(torch.export.export(net, args, kwargs))
    eager = call_spec_of_call(net, args, kwargs, pytree.tree_structure(net(*args, **kwargs)))
    assert (spec.inputs, spec.outputs, spec.names) == (eager.inputs, eager.outputs, eager.names)
