"""The lines of code and the modules that nodes of a strict capture name."""

from __future__ import annotations

import pytest
import torch

from pytest_exportcheck import reference


def sequential():
    return torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Sequential(torch.nn.ReLU()))


def hooked():
    module = sequential()
    module.register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    return module


def traced():
    return torch.fx.symbolic_trace(sequential())


@pytest.mark.parametrize("make", [sequential, hooked, traced], ids=lambda each: each.__name__)
def test_an_operation_of_a_module_of_torch_names_the_call_of_the_model(make):
    """Dynamo notes no lines of torch.nn: torch's strict captures name a line of the exporter, too."""
    program = reference.export(make(), (torch.ones(2, 3),), strict=True)
    linear, relu = list(program.graph.nodes)[-3:-1]
    for node in (linear, relu):
        frame, line, *_ = node.meta["stack_trace"].splitlines()
        assert frame.endswith(", in call")
        assert line == "    return module(*args, **kwargs)"
    assert [list(node.meta["nn_module_stack"].values())[-1] for node in (linear, relu)] == [
        ("0", "torch.nn.modules.linear.Linear"),
        ("1.0", "torch.nn.modules.activation.ReLU"),
    ]


class Lines(torch.nn.Module):
    def forward(self, x):
        return x.sin()


def test_an_operation_of_the_model_names_the_lines_of_the_model_only():
    program = reference.export(Lines(), (torch.ones(2),), strict=True)
    (sin,) = program.graph.find_nodes(op="call_function", target=torch.ops.aten.sin.default)
    frame, line, *_ = sin.meta["stack_trace"].splitlines()
    assert (f'File "{__file__}", line ' in frame, line.strip()) == (True, "return x.sin()")
