"""Strict capture: Dynamo evaluates the model's Python, and the program is that of torch's strict capture."""

from __future__ import annotations

import functools
import inspect
import logging
import warnings

import pytest
import torch
from torch.export import Dim

from pytest_exportcheck import reference
from pytest_exportcheck.reference.exporter import strict as strict_module
from tests.differential.captures import strict_alike
from tests.differential.roundtrips import difference_of

HERE = __file__
LOGGER = logging.getLogger(__name__)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleList([torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)])
        self.register_buffer("calls", torch.zeros(()))
        self.scale = torch.ones(4)

    def forward(self, x, number=None, *rest, flag=True, more=None):
        self.calls.add_(1)
        for layer in self.layers:
            x = torch.relu(layer(x))
        with torch.no_grad():
            y = self.layers[0](x) * self.scale
        return {"y": y, "x": x + more[0], "size": x.shape[0], "flag": flag, "rest": rest}


def example():
    return (torch.randn(3, 4), 2, torch.ones(4)), {"flag": "on", "more": [torch.randn(3, 4), None]}


def exported(function, *args, **options):
    return reference.export(Calls(function), args, strict=True, **options)


class Calls(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


def called(program):
    return [node for node in program.graph.nodes if isinstance(node.target, torch._ops.OpOverload)]


def targets(program):
    return [str(node.target) for node in program.graph.nodes if node.op == "call_function"]


def test_names_operators_and_results_are_those_of_torch():
    net = Net()
    args, kwargs = example()
    shapes = {
        "x": {0: Dim("b", max=9)},
        "number": None,
        "rest": (None,),
        "flag": None,
        "more": [{0: Dim("b", max=9)}, None],
    }
    ours = reference.export(net, args, kwargs, dynamic_shapes=shapes, strict=True)
    theirs = torch.export.export(net, args, kwargs, dynamic_shapes=shapes, strict=True)
    assert strict_alike(ours, theirs) == {"operators": "", "signature": ""}
    assert difference_of(ours.module()(*args, **kwargs), net(*args, **kwargs)) == ""
    assert ours.range_constraints[ours.graph.find_nodes(op="placeholder")[6].meta["val"].shape[0].node.expr].upper == 9


def test_nodes_have_the_metadata_of_a_nonstrict_capture_and_the_functions_that_the_model_calls():
    args, kwargs = example()
    net = Net()
    strict, plain = (reference.export(net, args, kwargs, strict=strict) for strict in (True, False))
    for ours, theirs in zip(*map(called, (strict, plain)), strict=True):
        assert ours.meta["nn_module_stack"] == theirs.meta["nn_module_stack"]
        first, *_ = ours.meta["stack_trace"].splitlines()
        assert first.strip().startswith(f'File "{HERE}", line ')
    relu = next(node for node in strict.graph.nodes if node.target is torch.ops.aten.relu.default)
    assert relu.meta["source_fn_stack"] == [("relu", torch.relu)]


def test_the_module_and_the_process_are_as_before():
    net = Net()
    args, kwargs = example()
    before, held, names = {**net.state_dict()}, dict(vars(net)), [*vars(strict_module)]
    reference.export(net, args, kwargs, strict=True)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert dict(vars(net)) == held
    assert [*vars(strict_module)] == names  # Dynamo leaves graphs among the globals of what it captures
    used = torch._dynamo.output_graph.ShapeEnv  # type: ignore[attr-defined]  # what Dynamo imported
    assert used is torch.fx.experimental.symbolic_shapes.ShapeEnv


class Reassigns(torch.nn.Module):
    count: torch.Tensor

    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(()))
        self.calls = 0

    def forward(self, x):
        self.count = self.count + 1
        self.calls += 1
        return x * self.count


def test_a_buffer_that_forward_reassigns_has_its_new_value_after_a_call():
    """torch's strict capture drops the new value."""
    module = reference.export(Reassigns(), (torch.ones(2),), strict=True).module()
    assert [module(torch.ones(2)).tolist() for _ in range(2)] == [[1, 1], [2, 2]]


def test_a_derived_size_and_a_symbolic_number():
    batch = Dim("batch", min=2, max=8)
    shapes = {"args": ({0: batch}, {0: 2 * batch}, Dim.DYNAMIC)}
    program = exported(
        lambda x, y, n: (x.sum() + y, x.shape[0] * n), torch.randn(3, 2), torch.randn(6), 5, dynamic_shapes=shapes
    )
    y, n = program.module()(torch.ones(4, 2), torch.zeros(8), 7)
    assert (y.tolist(), n) == ([8.0] * 8, 28)
    with pytest.raises(AssertionError, match="Guard failed"):
        program.module()(torch.ones(4, 2), torch.zeros(7), 7)


def test_a_number_of_a_tensor_is_returned_as_a_number():
    program = exported(
        lambda x: (x.sum().item(), torch.scalar_tensor(x.sum().item(), dtype=torch.float64)), torch.ones(2)
    )
    assert program.module()(torch.full((2,), 1.5)) == (3.0, torch.tensor(3.0, dtype=torch.float64))
    assert targets(program).count("aten.item.default") == 2
    assert targets(program).count("aten.scalar_tensor.default") == 1


def hooked():
    module = torch.nn.Linear(4, 4)
    module.register_forward_hook(lambda module, args, result: result + 1)
    return module


def partial_forward():
    module = torch.nn.Linear(4, 4)
    module.forward = functools.partial(module.forward)
    return module


def bound_forward():
    module, other = Calls(torch.sin), Calls(torch.cos)
    module.forward = other.forward
    return module


@pytest.mark.parametrize("make", [hooked, partial_forward, bound_forward], ids=lambda each: each.__name__)
def test_modules_whose_forward_is_wrapped(make):
    module, x = make(), torch.randn(2, 4)
    program = reference.export(module, (x,), strict=True)
    assert torch.equal(program.module()(x), module(x))


def test_what_is_printed_warned_or_logged_is_left_out():
    def talk(x):
        print(x)
        warnings.warn("said", stacklevel=1)
        LOGGER.warning("logged %s", x)
        return x + 1

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert targets(exported(talk, torch.ones(2))) == ["aten.add.Tensor"]


@pytest.mark.parametrize("grad", [True, False])
def test_a_model_in_training_mode_and_its_gradients(grad):
    module = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4)).train()
    x = torch.randn(3, 4)
    with torch.set_grad_enabled(grad):
        program = reference.export(module, (x,), strict=True)
    theirs = torch.export.export(module, (x,), strict=True)
    assert targets(program) == targets(theirs)


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 2


def test_the_forward_of_an_autograd_function_keeps_its_gradient():
    """torch's strict capture puts forward() into a region without gradients."""
    x = torch.ones(1, requires_grad=True)
    program = exported(Doubled.apply, x)
    (gradient,) = torch.autograd.grad(program.module()(x), x)
    assert (gradient.tolist(), targets(program)) == ([2.0], ["aten.mul.Tensor"])


class Autocast(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)

    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = self.linear(x)
            with torch.autocast("cpu", enabled=False):
                return y.float() + x


def test_values_in_regions_of_autocast_have_the_dtypes_of_a_call():
    """torch's strict capture takes the dtypes without autocast, and such a program raises."""
    module, x = Autocast(), torch.randn(2, 4)
    program = reference.export(module, (x,), strict=True)
    assert torch.equal(program.module()(x), module(x))
    parts = [part for part in program.graph_module.modules() if isinstance(part, torch.fx.GraphModule)]
    dtypes = {
        str(node.target): node.meta["val"].dtype
        for part in parts
        for node in called(part)
        if node.meta["val"] is not None
    }
    assert dtypes["aten.linear.default"] == torch.bfloat16
    assert not torch.is_autocast_enabled("cpu")


def test_a_model_without_operators():
    program = exported(lambda x: (x, x.shape[0], None, "text"), torch.ones(2))
    x = torch.zeros(2)
    result = program.module()(x)
    assert result[0] is x
    assert result[1:] == (2, None, "text")


class Offset(torch.overrides.TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {})) + 1


def test_a_model_that_enters_a_mode_of_functions():
    """As flex attention does, where it makes a mask."""

    def entered(x):
        with Offset():
            return torch.sin(x)

    program, x = exported(entered, torch.ones(2)), torch.zeros(2)
    assert program.module()(x).tolist() == [1, 1]
    assert targets(program) == ["aten.sin.default", "aten.add.Tensor"]


# --- transforms of torch.func -----------------------------------------------------------------


WEIGHT = torch.eye(3) * 2


def over_rows(x):
    return torch.vmap(lambda row: WEIGHT @ row + x.sum())(x)


@pytest.mark.parametrize("strict", [True, False])
def test_a_function_under_vmap_closes_over_tensors(strict):
    """A rule of vmap leaves a call on a tensor without data behind, whose result is not used: torch keeps or refuses it."""
    program, x = reference.export(Calls(over_rows), (torch.ones(2, 3),), strict=strict), torch.randn(2, 3)
    assert torch.allclose(program.module()(x), over_rows(x))
    assert not [name for name, value in program.constants.items() if value.shape != WEIGHT.shape]


def jacobian(x):
    return torch.func.jacfwd(torch.sin)(x)


@pytest.mark.parametrize("strict", [True, False])
def test_nested_transforms_are_refused_with_their_line_and_left(strict):
    with pytest.raises(reference.NotTraceable) as caught:
        reference.export(Calls(jacobian), (torch.ones(2),), strict=strict)
    assert str(caught.value) == (
        "The model nests transforms of torch.func (jacfwd, hessian, vmap of grad), whose tensors cannot be recorded as operators. "
        f"Compute the result with operators inside forward(), or move it out of the exported module. It is used at\n  {line(jacobian, 1)}"
    )
    assert jacobian(torch.zeros(1)).tolist() == [[1]]


# --- errors -----------------------------------------------------------------------------------


def line(function, number):
    lines, first = inspect.getsourcelines(function)
    return f"{HERE}:{first + number}: {lines[number].strip()}"


def branches(x):
    if x.sum() > 0:
        return x
    return x + 1


def branches_on_a_number(x):
    n = x.sum().int().item()
    return x if n > 3 else x * n


DATA_DEPENDENT = (
    "Could not guard on data-dependent expression {}: the model branches on the values of a tensor, or needs one as a number, at\n"
    "  {}\nA program takes one branch for all values. Compute both and choose with torch.where, use torch.cond, or state the condition "
    "before that line with torch._check(...)."
)


CHECKS = "\nTo fix the error, insert one of the following checks before this call:\n  1. torch._check(n <= 3)\n  2. torch._check(n > 3)"


@pytest.mark.parametrize(
    ("function", "number", "condition", "checks"),
    [(branches, 1, "of a tensor", ""), (branches_on_a_number, 2, "u0 > 3", CHECKS)],
)
def test_a_branch_on_data_is_refused_with_its_line_and_what_decides_it(function, number, condition, checks):
    with pytest.raises(reference.DataDependent) as caught:
        exported(function, torch.ones(2))
    assert str(caught.value) == DATA_DEPENDENT.format(condition, line(function, number)) + checks


def raises(x):
    raise ValueError("too small")


def fails(x):
    return x @ x


def breaks(x):
    torch._dynamo.graph_break()
    return x


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (raises, "the model raises ValueError('too small') at\n  {}\nGive an example that the model accepts."),
        (
            fails,
            "the model raises RuntimeError('a and b must have same reduction dim, but got [2, 3] X [2, 3].') at\n  {}\n"
            "Give an example that the model accepts.",
        ),
        (
            breaks,
            "Dynamo does not capture what the model does at\n  {}\nCall to `torch._dynamo.graph_break()`\nExplanation: User-inserted "
            "graph break. Message: None\nDeveloper debug context: Called `torch._dynamo.graph_break()` with args `[]`, kwargs `{{}}`\n"
            "Write it with operators, or capture the model without strict=True.",
        ),
    ],
)
def test_what_dynamo_does_not_capture_is_refused_with_its_line(function, message):
    with pytest.raises(reference.NotTraceable) as caught:
        exported(function, torch.ones(2, 3))
    assert str(caught.value) == message.format(line(function, 1))


def halves(x):
    return x.reshape(2, -1) if x.shape[0] > 2 else x


def test_a_size_that_the_model_restricts_is_refused_with_its_line():
    with pytest.raises(reference.ConstraintViolation) as caught:
        exported(halves, torch.ones(4), dynamic_shapes={"args": ({0: Dim("n")},)})
    assert f"\n  {line(halves, 1)}\n    requires " in str(caught.value)


def one(x):
    return x * 2 if x.shape[0] == 1 else x


def test_a_branch_on_size_1_is_refused_as_in_a_nonstrict_capture():
    with pytest.raises(reference.ConstraintViolation) as caught:
        exported(one, torch.ones(4), dynamic_shapes={"args": ({0: Dim("n", min=1)},)})
    assert str(caught.value) == (
        f"args[0].shape[0] was declared as Dim('n', min=1), but the model takes another branch at size 1:\n  {line(one, 1)}\n"
        "A program holds only one branch. Declare Dim('n', min=2), or export the model for that size separately."
    )
