"""What the nodes of a program yield on the example inputs."""

from __future__ import annotations

from importlib import import_module

import pytest
import torch

from pytest_exportcheck.checks.val import _against_run
from pytest_exportcheck.describe import node_runs, program_of, run_digest
from pytest_exportcheck.describe.declared import declared_dims
from pytest_exportcheck.describe.runs import _places
from pytest_exportcheck.records import DeclaredDim, Inputs, Interval, TensorValue


def exported(module, *args, **kwargs):
    return torch.export.export(module, args, kwargs)


def yielded_by(program, *args, **kwargs):
    """What nodes yield on these inputs, by place."""
    (run,) = node_runs(program, Inputs("", args, kwargs), ())
    return run.values


def ran(forward, *args, **kwargs):
    module = type("Net", (torch.nn.Module,), {"forward": forward})()
    return yielded_by(exported(module, *args, **kwargs), *args, **kwargs)


def dense(*shape, stride=(1,), dtype="float32"):
    return TensorValue(shape, dtype, "cpu", "strided", stride)


def test_every_input_and_call_has_what_it_yielded():
    yielded = ran(lambda self, x: (x + 1) > 0, torch.ones(2))
    assert yielded == {"x": dense(2), "add": dense(2), "gt": dense(2, dtype="bool")}


def test_several_results_are_a_tuple():
    yielded = ran(lambda self, x: torch.max(x, 0), torch.ones(2, 3))
    assert yielded["max_1"] == (dense(3), dense(3, dtype="int64"))


def test_numbers_are_themselves():
    def forward(self, x):
        n = x.sum().item()
        torch._check(n >= 0)
        return torch.zeros(n)

    yielded = ran(forward, torch.tensor([1, 2]))
    assert yielded["item"] == 3
    assert yielded["zeros"] == dense(3)


def test_sparse_results_have_no_strides():
    yielded = ran(lambda self, x: x.to_sparse().sum(), torch.eye(2))
    assert yielded["to_sparse"] == TensorValue((2, 2), "float32", "cpu", "sparse_coo", None)


def test_keywords_go_to_their_inputs_in_any_order():
    def forward(self, *, y, z):
        return y[0] + z

    assert ran(forward, z=torch.ones(3), y=torch.ones(2, 3))["add"] == dense(3)


def test_of_branches_the_one_that_is_taken_is_written_down():
    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda v: v.sin(), lambda v: v.cos(), (x,))

    yielded = ran(forward, torch.ones(2))
    assert yielded["cond"] == (dense(2),)
    assert [place for place in yielded if "[" in place and not place.endswith(("_1", "x"))] == ["cond[1].sin"]


def test_a_second_run_is_at_other_sizes():
    size = torch.export.Dim("b", min=2, max=4)
    program = torch.export.export(torch.nn.ReLU(), (torch.ones(4),), dynamic_shapes=({0: size},))
    declared = DeclaredDim(place="args[0]", dim=0, text="b", dynamic=True, interval=Interval(2, 4))
    first, second = node_runs(program, Inputs("", (torch.ones(4),), {}), (declared,))
    assert [(run.label, run.sizes, run.values["relu"]) for run in (first, second)] == [
        ("on the example inputs", {"args[0].size(0)": 4}, dense(4)),
        ("at other sizes", {"args[0].size(0)": 3}, dense(3)),
    ]


class Counting(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(1))
        self.register_buffer("hidden", torch.zeros(1), persistent=False)
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.table = torch.zeros(1)

    def forward(self, x):
        self.count.add_(1)
        self.hidden.add_(1)
        self.weight.detach().add_(1)
        x.add_(1)
        return x + self.count + self.hidden + self.weight + self.table


def test_nothing_is_written_to():
    program, x = exported(Counting(), torch.zeros(1)), torch.zeros(1)
    state = {
        name: tensor.detach().clone() for name, tensor in [*program.state_dict.items(), *program.constants.items()]
    }
    assert len(yielded_by(program, x)) > 4
    assert x == 0
    for name, tensor in [*program.state_dict.items(), *program.constants.items()]:
        assert torch.equal(tensor, state[name]), name


def test_parameters_are_not_copied_where_nothing_writes(monkeypatch):
    program = exported(torch.nn.Linear(2, 2), torch.ones(1, 2))
    seen = []
    module = import_module("pytest_exportcheck.describe.graph_inputs")
    monkeypatch.setattr(module, "copied", lambda tensor, memo: seen.append(tensor))
    yielded_by(program, torch.ones(1, 2))
    assert seen == []


def test_a_program_that_cannot_be_run_has_what_was_reached():
    program = exported(torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Linear(2, 2)), torch.ones(1, 2))
    (run,) = node_runs(program, Inputs("", (torch.ones(1, 3),), {}), ())
    assert list(run.values)[-1] == "relu"
    assert (run.stopped.place, run.stopped.error.type) == ("linear", "RuntimeError")


@pytest.mark.parametrize("decompose", [False, True])
def test_a_program_agrees_with_its_own_run(decompose):
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.Flatten())
    inputs = Inputs("", (torch.randn(2, 1, 5, 5),), {})
    program = exported(module, *inputs.args)
    program = program.run_decompositions() if decompose else program
    runs = node_runs(program, inputs, ())
    assert list(_against_run(program_of(program, runs=runs), *runs)) == []


def test_nodes_run_with_grad_where_the_call_does():
    """Attention takes another kernel, with other strides, where its mask requires grad."""

    class Biased(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bias = torch.nn.Parameter(torch.zeros(1, 4, 1, 1))

        def forward(self, q, k, v):
            mask = self.bias.expand(1, 4, 12, 12).contiguous()
            q, k, v = (x.transpose(1, 2) for x in (q, k, v))
            return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)

    inputs = Inputs("", tuple(torch.randn(2, 12, 4, 8) for _ in range(3)), {})
    program = exported(Biased(), *inputs.args)
    runs = node_runs(program, inputs, ())
    assert list(_against_run(program_of(program, runs=runs), *runs)) == []


def test_nodes_that_write_to_parameters_run_without_grad():
    class Decaying(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(2))

        def forward(self, x):
            with torch.no_grad():
                self.weight.mul_(0.5)
            return x * self.weight

    module = Decaying()
    program = exported(module, torch.ones(2)).run_decompositions()
    (run,) = node_runs(program, Inputs("", (torch.ones(2),), {}), ())
    assert run.stopped is None
    assert module.weight.tolist() == [1, 1]


class Grown(torch.nn.Module):
    def forward(self, x, y):
        return torch.cat([x, x]) + y


@pytest.mark.parametrize("hint", [torch.export.Dim.AUTO, torch.export.Dim.DYNAMIC], ids=["AUTO", "DYNAMIC"])
def test_a_dim_that_is_only_hinted_at_goes_with_the_dims_that_determine_it(hint):
    """Eager refuses any other size: three rows and twice as many."""
    inputs = (torch.ones(3), torch.ones(6))
    shapes = ({0: torch.export.Dim.DYNAMIC}, {0: hint})
    program = torch.export.export(Grown(), inputs, dynamic_shapes=shapes)
    call = Inputs("", inputs, {})
    _, other = node_runs(program, call, declared_dims(Grown(), call, shapes))
    assert other.stopped is None
    assert other.sizes == {"args[0].size(0)": 4, "args[1].size(0)": 8}


def test_a_dim_that_is_hinted_at_goes_with_a_named_one_behind_it():
    inputs = (torch.ones(3), torch.ones(3))
    shapes = ({0: torch.export.Dim.AUTO}, {0: torch.export.Dim("n")})
    module = type("Net", (torch.nn.Module,), {"forward": lambda self, x, y: x + y})()
    program = torch.export.export(module, inputs, dynamic_shapes=shapes)
    call = Inputs("", inputs, {})
    _, other = node_runs(program, call, declared_dims(module, call, shapes))
    assert other.sizes == {"args[0].size(0)": 4, "args[1].size(0)": 4}


def test_leaves_that_a_class_makes_again_are_placed_in_order():
    kept, first, second = torch.ones(1), torch.ones(2), torch.ones(3)
    placed = [("args[0][0]", torch.ones(2)), ("args[0][1]", torch.ones(3)), ("args[1]", kept), ("args[2]", kept)]
    assert _places([first, second, kept, kept], placed) == ["args[0][0]", "args[0][1]", "args[1]", "args[2]"]


class Halves(torch.nn.Module):
    def __init__(self, wide=4):
        super().__init__()
        self.linear = torch.nn.Linear(wide, 2)

    def forward(self, x):
        return self.linear(x)[:, :1]


def test_programs_that_yield_the_same_have_one_digest():
    module, x = Halves(), torch.ones(3, 4)
    first = exported(module, x)
    assert run_digest(first) == run_digest(exported(module, x)) == run_digest(exported(first.module(), x))


@pytest.mark.parametrize(
    "change",
    [
        lambda module: module.linear.weight.detach().zero_(),
        lambda module: module.linear.requires_grad_(False),
        lambda module: setattr(
            module.linear, "weight", torch.nn.Parameter(module.linear.weight.detach().t().contiguous().t())
        ),
        lambda module: setattr(module, "forward", lambda x: module.linear(x)[:, 1:]),
    ],
    ids=["values", "grad", "strides", "graph"],
)
def test_another_digest_for_what_may_yield_something_else(change):
    module, x = Halves(), torch.ones(3, 4)
    before = run_digest(exported(module, x))
    change(module)
    assert run_digest(exported(module, x)) not in (before, None)


def test_another_digest_for_other_dynamic_dims():
    module, x = Halves(), torch.ones(3, 4)
    dynamic = torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    assert run_digest(dynamic) != run_digest(exported(module, x))
