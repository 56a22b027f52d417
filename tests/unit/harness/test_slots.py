"""Slots are all the places where a module holds a tensor."""

from __future__ import annotations

import torch

from pytest_exportcheck.harness.slots import slots_of
from tests.unit.harness.stateful_net import Net


def slots(module):
    return {slot.name: (slot.kind, slot.persistent) for slot in slots_of(module)}


def test_slots_are_parameters_buffers_and_plain_tensors():
    assert slots(Net()) == {
        "weight": ("parameter", True),
        "total": ("buffer", True),
        "cache": ("buffer", False),
        "plain": ("attribute", False),
    }


def test_a_shared_submodule_is_listed_under_every_name():
    model = torch.nn.Sequential(torch.nn.ReLU(), layer := torch.nn.Linear(1, 1, bias=False), layer)
    assert list(slots(model)) == ["1.weight", "2.weight"]
