"""The classes of submodules, by path."""

from __future__ import annotations

import torch
from torch import nn

from pytest_exportcheck.describe import call_spec_of, module_types_of


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
