"""The classes of submodules, by path."""

from __future__ import annotations

import functools
from typing import cast

import pytest
import torch
from torch import nn

from pytest_exportcheck.describe import call_spec_of, claimed_types_of, module_types_of, untraced_of


def test_every_path_has_the_class_of_its_module():
    shared = nn.Linear(1, 1)
    net = nn.Sequential(shared, nn.Sequential(shared))
    linear = "torch.nn.modules.linear.Linear"
    assert module_types_of(net) == {
        "": "torch.nn.modules.container.Sequential",
        "0": linear,
        "1": "torch.nn.modules.container.Sequential",
        "1.0": linear,
    }


def test_a_class_in_a_function_is_qualified():
    class Net(nn.Module): ...

    assert module_types_of(Net())[""].endswith("test_a_class_in_a_function_is_qualified.<locals>.Net")


def test_a_program_without_a_module_call_graph_says_no_names():
    program = torch.export.export(nn.Linear(1, 1), (torch.ones(1, 1),))
    del program.module_call_graph[:]
    assert call_spec_of(program).names is None


class Net(nn.Module):
    def __init__(self, layer=None):
        super().__init__()
        self.layer = layer or nn.Linear(1, 1)

    def forward(self, x):
        return self.layer(x).relu()


LINEAR = "torch.nn.modules.linear.Linear"


def program_module():
    return torch.export.export(Net(), (torch.ones(1, 1),)).module()


def test_a_graph_module_claims_the_classes_that_its_nodes_name():
    claims = claimed_types_of(program_module())
    assert claims == {"": {f"{__name__}.Net"}, "layer": {LINEAR}}


def test_a_graph_module_inside_another_module_claims_them_under_its_path_too():
    claims = claimed_types_of(nn.Sequential(nn.ReLU(), program_module()))
    assert claims == {
        "": {f"{__name__}.Net"}, "layer": {LINEAR}, "1": {f"{__name__}.Net"}, "1.layer": {LINEAR},
    }  # fmt: skip


def test_a_compiled_module_claims_the_classes_of_the_module_inside():
    claims = claimed_types_of(nn.Sequential(cast("Net", torch.compile(Net(), backend="eager"))))
    assert claims["0"] == {f"{__name__}.Net"}
    assert claims["0.layer"] == claims["layer"] == {LINEAR}


def test_other_modules_claim_nothing():
    assert claimed_types_of(nn.Sequential(Net())) == {}


def hooked(register, *arguments):
    net = Net()
    getattr(net, register)(lambda *_: None, *arguments)
    return net


def decorated():
    net = Net()
    forward = net.forward

    @functools.wraps(forward)
    def wrapper(x):
        return forward(x + 1)

    net.forward = wrapper
    return net


class Called(Net):
    def __call__(self, x):
        return super().__call__(x + 1)


@pytest.mark.parametrize(
    ("build", "reasons"),
    [
        (Net, {}),
        (lambda: hooked("register_forward_pre_hook"), {"": "hooks"}),
        (lambda: hooked("register_forward_hook"), {"": "hooks"}),
        (lambda: hooked("register_full_backward_hook"), {"": "hooks"}),
        (lambda: Net(nn.utils.weight_norm(nn.Linear(1, 1))), {"layer": "hooks"}),
        (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(1, 1)), {}),
        (decorated, {"": "forward"}),
        (Called, {"": "forward"}),
        (lambda: Net(torch.fx.symbolic_trace(nn.ReLU())), {"layer": "generated"}),
    ],
)
def test_a_module_says_where_operations_have_no_line(build, reasons):
    assert untraced_of(build()) == reasons
