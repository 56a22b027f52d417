"""The subgraphs that higher-order operators call: the names of their inputs, and the tensors that they hold."""

from __future__ import annotations

import io

import pytest
import torch
from torch._higher_order_ops import map as map_rows
from torch._higher_order_ops import scan, while_loop
from torch._higher_order_ops.hints_wrap import hints_wrapper

from pytest_exportcheck import reference
from pytest_exportcheck.reference.exporter.errors import LeakedTensor
from tests.differential.roundtrips import difference_of, saved
from tests.unit.reference.exporter.calls import Calls


def every_node(program):
    """At all levels what is called, the names of inputs, and which of the two kinds of provenance inputs and outputs have."""
    for path, module in program.graph_module.named_modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            kept = [key for key in ("nn_module_stack", "stack_trace") if key in node.meta]
            yield (
                path,
                node.name if node.op == "placeholder" else str(node.target),
                kept if node.op != "call_function" else None,
            )


class Names(torch.nn.Module):
    """A branch in a region in a function that is mapped; operands whose names the branches use themselves."""

    def __init__(self):
        super().__init__()
        self.a, self.b = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
        self.b.weight = self.a.weight
        self.register_buffer("shift", torch.ones(3))

    def forward(self, sin, add_1):
        def mapped(row, shift):
            def branch(row):
                with torch.no_grad():
                    fixed = row.sin() + shift
                return fixed + self.a(row) + self.shift

            return torch.cond(row.sum() > 0, branch, lambda row: self.b(row) + shift, (row,))

        mul = sin * 2
        chosen = torch.cond(mul.sum() > 0, lambda x, y: (x * y).sin(), lambda x, y: x + y + self.shift, (mul, sin))
        return map_rows(mapped, chosen, add_1)


def test_inputs_of_subgraphs_are_named_as_torch_names_them():
    args = (torch.randn(2, 3), torch.randn(3))
    ours, theirs = reference.export(Names(), args), torch.export.export(Names(), args)
    assert list(every_node(ours)) == list(every_node(theirs))
    assert ("true_graph_0", "mul", []) in every_node(ours)
    assert list(every_node(reference.decompose(ours, {}))) == list(every_node(theirs.run_decompositions({})))


def holds_constants(self, x):
    def positive(x):
        return torch.cond(
            x[0] > 0, lambda x: x + torch.tensor([1.0, 2.0]), lambda x: x * torch.tensor([3.0, 4.0]), (x,)
        )

    x = torch.cond(x.sum() > 0, positive, lambda x: x - torch.tensor(5.0), (x,))
    _, x = while_loop(
        lambda i, x: i < torch.tensor(3), lambda i, x: (i + 1, x * torch.tensor(2.0)), (torch.tensor(0), x)
    )
    x = map_rows(lambda row: row + torch.tensor(6.0), x)  # type: ignore[arg-type,misc]  # torch declares two arguments
    last, _ = scan(lambda carry, row: (carry + row * torch.tensor(7.0), carry.clone()), torch.tensor(0.0), x)
    return hints_wrapper(lambda x, **_: x + self.buffer + torch.tensor(8.0), (last,), {}, hints={})


def test_tensors_in_subgraphs_are_operands_and_go_through_files():
    """torch leaves them in the subgraphs: it neither lowers nor saves such a program."""
    model, args = Calls(holds_constants), (torch.tensor([1.0, -2.0]),)
    program = reference.export(model, args)
    lowered = reference.decompose(program)
    assert set(program.module().state_dict()) == set(lowered.module().state_dict()) == {"buffer"}
    inputs = (args[0], -args[0])  # each takes other branches
    expected = [model(x) for x in inputs]
    for each in (program, lowered):
        read = reference.load(io.BytesIO(saved(each, reference.save)), trust=True)
        torchs = torch.export.load(io.BytesIO(saved(each, reference.save)))
        for way in (each, read, torchs):
            assert difference_of([way.module()(x) for x in inputs], expected) == ""


def test_a_function_that_closes_over_a_traced_tensor_is_refused():
    def closes_over(_self, x):
        y = x * 2
        return hints_wrapper(lambda x, **_: x + y, (x,), {}, hints={})

    with pytest.raises(LeakedTensor) as caught:
        reference.export(Calls(closes_over), (torch.ones(2),))
    line = Calls.forward.__code__.co_firstlineno + 1
    assert str(caught.value) == (
        "a function that the model gives to hints_wrapper uses a tensor of the code around it: the program would hold a tensor without "
        f'data in its place. It is used at\nFile "{Calls.forward.__code__.co_filename}", line {line}, in forward\n'
        "    return self.function(self, *args)\nPass the tensor to the function as an operand."
    )


@pytest.mark.parametrize("factors", [(2, 3, 4), (0.5, 1.5, 2.5)])
def test_a_number_in_a_branch_stays_a_number_whatever_it_was_before(factors):
    def chooses(module, x):
        factor = module.number

        def scaled(x):
            print("scaled")  # means nothing in a program
            return x * factor

        return torch.cond(x.sum() > 0, scaled, lambda x: x - factor, (x,))

    for factor in factors:
        model = Calls(chooses)
        model.number = factor
        (call,) = reference.export(model, (torch.ones(2),)).graph.find_nodes(
            op="call_function", target=torch.ops.higher_order.cond
        )
        assert [str(each) for each in call.args[3]] == ["args_0"]
