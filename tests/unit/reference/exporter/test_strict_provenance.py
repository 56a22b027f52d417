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


class Branches(torch.nn.Module):
    def forward(self, x):
        def doubled(x):
            with torch.no_grad():
                return (x.cos() * 2,)

        def lowered(x):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                y = x @ x
            return (y.float(),)

        with torch.fx.traceback.annotate({"part": "branches"}):
            return torch.cond(x.sum() > 0, doubled, lowered, (x,))


def nodes_of_branches(program):
    graphs = [part.graph for part in program.graph_module.modules() if isinstance(part, torch.fx.GraphModule)]
    return [node for graph in graphs if graph is not program.graph for node in graph.nodes]


def again(program):
    return reference.export(program.module(), (torch.ones(2, 2),), strict=True)


@pytest.mark.parametrize(
    "step", [lambda program: program, again, reference.decompose], ids=["captured", "again", "lowered"]
)
def test_nodes_in_regions_of_branches_keep_their_lines_and_have_no_notes_of_dynamo(step):
    """torch notes its own functions there, and names lines of generated code."""
    nodes = nodes_of_branches(step(reference.export(Branches(), (torch.ones(2, 2),), strict=True)))
    assert {key for node in nodes for key in node.meta.get("custom", {})} <= {"part"}
    called = [node for node in nodes if isinstance(node.target, torch._ops.OpOverload)]
    lines = {str(node.target): node.meta["stack_trace"].splitlines()[-2].strip() for node in called}
    assert lines["aten.cos.default"] == "return (x.cos() * 2,)"
    assert lines["aten.matmul.default" if "aten.matmul.default" in lines else "aten.mm.default"] == "y = x @ x"
