"""The reference exporter takes what torch.export takes, and its programs hold the same."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.export import Dim
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from pytest_exportcheck import reference
from tests.unit.reference.exporter.calls import Calls, asserts

ENGINES = [torch.export.export, reference.export]
X = torch.ones(2, 3)


def operators(program):
    return [str(node.target) for node in program.graph.nodes if node.op == "call_function"]


def both(model, args, **options):
    """Return the programs of torch and of the reference exporter, which call the same operators."""
    first, second = (export(model, args, **options) for export in ENGINES)
    assert operators(second) == operators(first)
    signatures = [str(each.graph_signature) for each in (first, second)]
    if options.get("strict"):  # torch orders the state by its first use, and torch 2.13 calls constants persistent
        signatures = ["\n".join(sorted(each.replace(" persistent=True", "").splitlines())) for each in signatures]
    assert signatures[1] == signatures[0]
    return first, second


def renamed(_module, state, prefix, _metadata):
    for name in list(state):
        state[f"{prefix}renamed.{name}"] = state.pop(name)


def copied(_module, state, _prefix, _metadata):
    return {name: value.clone() for name, value in state.items()}


def more(_module, state, prefix, _metadata):
    return {**state, f"{prefix}extra": torch.ones(2)}


def fewer(_module, _state, _prefix, _metadata):
    return {}


@pytest.mark.parametrize(
    ("hook", "strict"),
    [(renamed, False), (copied, False), (more, False), (fewer, False), (renamed, True)],
    ids=lambda each: getattr(each, "__name__", "strict" if each else "nonstrict"),
)
def test_hooks_of_state_dict_do_not_change_the_program(hook, strict):
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    model._register_state_dict_hook(hook)
    first, second = both(model, (X,), strict=strict)
    assert second.state_dict.keys() == first.state_dict.keys() == {
        "0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked",
    }  # fmt: skip
    assert all(second.state_dict[name] is first.state_dict[name] for name in first.state_dict)
    assert torch.equal(second.module()(X), model(X))


class Fakes(nn.Module):
    """A parameter, a buffer, a tensor, and a tensor that is made in ``forward``."""

    def __init__(self):
        super().__init__()
        self.linear, self.tensor = nn.Linear(3, 3), torch.ones(3)
        self.register_buffer("buffer", torch.zeros(3))

    def forward(self, x):
        return self.linear(x) + self.tensor + self.buffer + torch.tensor([1.0, 2.0, 3.0])


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("inside", [True, False], ids=["in the mode", "after the mode"])
def test_a_model_of_fakes_of_the_callers_own_mode(inside, strict):
    with torch._subclasses.FakeTensorMode(shape_env=ShapeEnv(tracked_fakes=[])) as mode:
        model, x = Fakes(), torch.empty(2, 3)
        if inside:
            both(model, (x,), strict=strict)
    first, second = both(model, (x,), strict=strict)
    assert {name: type(value) for name, value in second.constants.items()} == {
        name: type(value) for name, value in first.constants.items()
    }
    assert second.constants["tensor"].fake_mode is mode


@pytest.mark.parametrize("strict", [False, True])
def test_fake_inputs_can_be_dynamic(strict):
    with torch._subclasses.FakeTensorMode():
        x = torch.empty(4, 3)
    _, program = both(nn.ReLU(), (x,), dynamic_shapes={"input": {0: Dim("b")}}, strict=strict)
    assert program.module()(torch.ones(7, 3)).shape == (7, 3)


def test_custom_metadata_is_kept_when_a_program_is_exported_again():
    program = torch.export.export(Fakes(), (X,))
    for node in program.graph.nodes:
        node.meta["custom"] = {"name": node.name}
    program.graph_module.meta["custom"] = {"whole": 1}
    again = reference.export(program.module(), (X,))
    assert again.graph_module.meta["custom"] == {"whole": 1}
    placeholders = again.graph.find_nodes(op="placeholder")
    named = {node.name: node.meta["custom"]["name"] for node in placeholders}
    assert named == {node.name: node.name for node in placeholders}
    assert [node.meta["custom"]["name"] for node in again.graph.find_nodes(op="call_function", target=torch.ops.aten.linear.default)] == ["linear"]  # fmt: skip


INDICES = {
    "numbers": lambda t, i, j: t[i, j],
    "slices": lambda t, i, j: t[:i, :j],
    "both": lambda t, i, j: t[:i, j, ::2],
    "None": lambda t, i, j: t[None, i, None, :j],
    "ellipsis": lambda t, i, j: t[:i, None, ..., None, j],
}


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
def test_indices_that_only_a_call_knows(index):
    def indexes(_, tensor, numbers):
        i, j = numbers.tolist()
        for size, number in zip(tensor.shape, (i, j), strict=False):
            torch._check(number >= 0)
            torch._check(number < size)
        return index(tensor, i, j)

    args = torch.randn(4, 5, 6), torch.tensor([2, 3])
    _, program = both(Calls(indexes), args)
    assert torch.equal(program.module()(*args), index(args[0], 2, 3))


def test_only_the_dimension_of_a_symbolic_end_is_sliced():
    model = Calls(lambda _, x: x[:, : x.shape[0] - 1])
    _, program = both(model, (torch.ones(4, 9),), dynamic_shapes=(({0: Dim.AUTO},),))
    assert operators(program).count("aten.slice.Tensor") == 1


def test_a_choice_by_cond_is_an_index():
    model = Calls(lambda _, x: x[torch.cond(x.sum() > 3, lambda: 0, lambda: 1, ())])
    _, program = both(model, (X,))
    assert torch.equal(program.module()(X), X[0])


def test_numbers_of_a_call_become_a_tensor():
    model = Calls(lambda _, x: torch.tensor([x.shape[0], 2]) + 1)
    _, program = both(model, (X,), dynamic_shapes=(({0: Dim.AUTO},),))
    assert program.module()(torch.ones(7, 3)).tolist() == [8, 3]


@pytest.mark.parametrize(
    "function",
    [lambda x: max(x, x + 1) + min(x, x - 1), lambda x: max([x, x + 1]), lambda x: max(x, 5) + min(3, x)],
    ids=["two", "list", "number"],
)
def test_max_and_min_of_tensors_are_operators(function):
    x = torch.tensor(4)
    _, program = both(Calls(lambda _, x: function(x)), (x,))
    for value in (x, torch.tensor(-9)):
        assert torch.equal(program.module()(value), torch.as_tensor(function(value)))


def test_an_unused_tensor_is_not_a_constant():
    _, program = both(Calls(lambda _, x: (torch.tensor(3), x * x)[1]), (X,))
    assert program.constants == {}


class Reassigns(nn.Module):
    """Assigns a new value to a buffer."""

    total: torch.Tensor

    def __init__(self):
        super().__init__()
        self.register_buffer("total", torch.zeros(2, 3))

    def forward(self, x):
        self.total = self.total + x
        return self.total * 2


class Around(nn.Module):
    """Calls a submodule that assigns to a buffer."""

    def __init__(self):
        super().__init__()
        self.part = Reassigns()

    def forward(self, x):
        return self.part(x)


@pytest.mark.parametrize("kind", [Reassigns, Around], ids=["root", "submodule"])
def test_a_buffer_that_is_assigned_belongs_to_its_module(kind):
    program = reference.export(kind(), (X,))
    (copy,) = program.graph.find_nodes(op="call_function", target=torch.ops.aten.copy_.default)
    (add,) = program.graph.find_nodes(op="call_function", target=torch.ops.aten.add.Tensor)
    assert copy.meta["nn_module_stack"] == add.meta["nn_module_stack"]
    assert copy.meta["stack_trace"] == add.meta["stack_trace"]
    unflattened = torch.export.unflatten(program)
    assert [unflattened(X)[0, 0].item() for _ in range(2)] == [2, 4]


def test_conditions_can_be_deferred_to_the_call():
    args, shapes = (torch.randn(3, 4),), (({0: Dim("a", min=3), 1: Dim("b", max=8000)},),)
    model = Calls(lambda _, x: x.view(x.shape[0] - 1, -1))
    _, program = both(model, args, dynamic_shapes=shapes, prefer_deferred_runtime_asserts_over_guards=True)
    assert program.module()(torch.ones(4, 3)).shape == (3, 4)
    with pytest.raises(RuntimeError, match=r"Runtime assertion failed for expression Eq\(Mod\("):
        program.module()(torch.ones(4, 5))


def test_a_constant_that_is_changed_cannot_be_lowered():
    def adds(self, x):
        self.tensor.add_(1)
        return x + self.tensor

    program = reference.export(Calls(adds), (torch.ones(2),))
    with pytest.raises(reference.NotTraceable) as caught:
        reference.decompose(program)
    assert caught.value.msg == (
        "Constant tensor is mutated in the forward method. Pls register it as buffer: "
        "self.register_buffer('tensor', ..., persistent=False)."
    )


def test_an_assert_statement_about_values_becomes_an_assertion():
    _, program = both(Calls(asserts), (torch.zeros(4, dtype=torch.int),))
    with pytest.raises(RuntimeError, match="Runtime assertion failed for expression"):
        program.module()(-torch.ones(4, dtype=torch.int))


def test_a_graph_without_module_stacks_can_be_unflattened():
    graph = torch.fx.experimental.proxy_tensor.make_fx(nn.Linear(3, 3))(X)
    program = reference.export(graph, (X,))
    assert torch.equal(torch.export.unflatten(program)(X), graph(X))


def test_a_branch_on_data_proposes_checks():
    def branches(_, x):
        i, j = x.tolist()
        return x if i + j > 3 else x * 2

    with pytest.raises(reference.DataDependent) as caught:
        reference.export(Calls(branches), (torch.tensor([2, 3]),))
    assert str(caught.value).endswith(
        "torch._check(...).\nTo fix the error, insert one of the following checks before this call:\n"
        "  1. torch._check(i + j <= 3)\n  2. torch._check(i + j > 3)"
    )


@pytest.mark.parametrize(
    ("model", "args", "error", "message"),
    [
        (
            lambda x: x,
            (X,),
            ValueError,
            "Expected `mod` to be an instance of `torch.nn.Module`, got <class 'function'>.",
        ),
        (nn.ReLU(), [X], torch._dynamo.exc.UserError, "Expecting `args` to be a tuple of example positional inputs,"),
        (nn.ReLU(), (), TypeError, "missing a required argument: 'input'"),
        (nn.ReLU(), (object(),), ValueError, "Unsupported input type <class 'object'>"),
    ],
    ids=["function", "list", "missing", "object"],
)
def test_refusals_are_errors_of_the_kinds_that_torch_raises(model, args, error, message):
    for export in ENGINES:
        with pytest.raises(error) as caught:
            export(model, args)
        assert message in str(caught.value)


def test_a_scripted_module_is_refused():
    for export in ENGINES:
        with pytest.raises(ValueError, match=r"^Exporting a ScriptModule is not supported\."):
            export(torch.jit.script(nn.ReLU()), (X,))
