"""The reference exporter refuses what no program can say, says why, and leaves nothing behind."""

from __future__ import annotations

import builtins
import contextlib
import io
import math

import pytest
import torch
from torch.export import Dim

from pytest_exportcheck import reference
from tests.differential.roundtrips import saved
from tests.unit.reference.exporter.calls import Calls


def assigns(self, x):
    self.tensor = self.tensor + x
    return x + self.tensor


def assigns_in_list(self, x):
    self.numbers[0] = self.numbers[0] + x
    return x * 2


def seeds(_, x):
    torch.manual_seed(42)
    return x + torch.rand(2)


def seeds_for_a_while(self, x):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        noise = torch.rand(2)
    return x + noise


def differentiates(_, x):
    return torch.func.grad(lambda value: (value**2).sum())(x)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            assigns,
            r'forward\(\) reassigns self.tensor after reading it; only buffers .* self.register_buffer\("tensor", ..., ',
        ),
        (assigns_in_list, r"forward\(\) reassigns self.numbers\[0\] after reading it; only buffers "),
        (seeds, r"the model seeds torch's generator \(torch.manual_seed\)"),
        (seeds_for_a_while, r"the model seeds torch's generator \(torch.manual_seed\)"),
        (differentiates, r"the model computes with a tensor of torch.func .*(?s:.)*in forward"),
        (differentiates, r"the model computes with a tensor of torch.func .*(?s:.)*in forward"),
    ],
)
def test_what_no_program_can_say_is_refused_and_leaves_nothing_behind(function, message):
    model, before = Calls(function), torch.random.get_rng_state()
    tensor, numbers = model.tensor, list(model.numbers)
    with pytest.raises(reference.NotTraceable, match=message):
        reference.export(model, (torch.ones(2),))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert model.tensor is tensor
    assert all(one is other for one, other in zip(model.numbers, numbers, strict=True))


def test_a_branch_on_data_is_refused_with_its_line():
    def branches(_, x):
        return x + 1 if x.sum().item() > 0 else x

    with pytest.raises(
        reference.DataDependent,
        match=r"(?s)zuf0 > 0.0.*test_export_refusals.py:\d+: return x \+ 1 if x.sum\(\).*torch.cond",
    ):
        reference.export(Calls(branches), (torch.ones(2),))


def test_an_operator_without_a_fake_implementation_is_refused_with_its_line():
    with torch.library._scoped_library("exportcheck_refusals", "FRAGMENT") as library:
        library.define("real(Tensor x) -> Tensor")
        library.impl("real", torch.sin, "CPU")

        class Real(torch.nn.Module):
            def forward(self, x):
                return torch.ops.exportcheck_refusals.real(x)

        with pytest.raises(reference.NotTraceable) as caught:
            reference.export(Real(), (torch.ones(2),))
    line = Real.forward.__code__.co_firstlineno + 1
    assert str(caught.value) == (
        f"the operator exportcheck_refusals.real.default has no implementation for fake tensors. It is called at\n  {__file__}:{line}: "
        "return torch.ops.exportcheck_refusals.real(x)\nGive it one with torch.library.register_fake."
    )


def test_a_script_object_is_refused():
    weight = torch.quantize_per_tensor(torch.ones(2, 2), 0.1, 0, torch.qint8)
    model = Calls(lambda self, x: torch.ops.quantized.linear_dynamic(x, self.packed))
    model.packed = torch.ops.quantized.linear_prepack(weight, None)
    with pytest.raises(reference.NotTraceable, match=r"a script object, .*LinearPackedParamsBase"):
        reference.export(model, (torch.ones(1, 2),))


def test_a_violation_of_sizes_that_a_collection_declares():
    args, shapes = (torch.ones(4), torch.ones(4)), torch.export.ShapesCollection()
    shapes[args[0]], shapes[args[1]] = {0: Dim("a")}, {0: Dim("b")}
    with pytest.raises(reference.ConstraintViolation, match="b = a"):
        reference.export(Calls(lambda _, x, y: x + y), args, dynamic_shapes=shapes)


class Sizes(torch.nn.Module):
    def forward(self, x, y):
        if x.shape[0] > 5:
            x = x + y
        return x @ torch.ones(8)


@pytest.mark.parametrize(
    ("dims", "told"),
    [
        (
            {"x": {0: Dim("a")}, "y": {0: Dim("b")}},
            ["Suggested fixes:\n  a = 8\n  b = 8", "x = x + y\n    requires a == b\n"],
        ),
        ({"x": {0: Dim("a", min=6)}, "y": {0: 8}}, ["  a = 8", "x = x + y\n    requires a == 8"]),
        (
            {"x": {0: Dim.DYNAMIC}, "y": {0: Dim.DYNAMIC}},
            ["x = x + y\n    requires L['x'].size()[0] == L['y'].size()[0]\n"],
        ),
    ],
)
def test_a_violation_of_sizes_says_which_line_of_the_model_needs_what(dims, told):
    with pytest.raises(reference.ConstraintViolation) as refused:
        reference.export(Sizes(), (torch.randn(8), torch.randn(8)), dynamic_shapes=dims)
    assert [
        text
        for text in (f"The lines of the model that require it:\n  {__file__}", *told)
        if text not in str(refused.value)
    ] == []


class Branches(torch.nn.Module):
    def forward(self, x):
        return x * 2 if x.shape[0] == 1 else x


def test_a_branch_on_size_one_inside_a_declared_range_is_refused():
    with pytest.raises(
        reference.ConstraintViolation,
        match=r"(?s)x.shape\[0\] was declared as Dim\('b', min=1, max=10\).*x.shape\[0\] == 1 else x",
    ):
        reference.export(Branches(), (torch.ones(6),), dynamic_shapes=({0: Dim("b", min=1, max=10)},))


def accepted(program, sizes):
    module, found = program.module(), []
    for size in sizes:
        try:
            module(torch.ones(size))
        except AssertionError:
            continue
        found.append(size)
    return found


@pytest.mark.parametrize(
    ("model", "dim", "sizes"),
    [
        (Branches(), Dim("b"), [0, 2, 3, 11]),
        (Branches(), Dim("b", min=2, max=10), [2, 3]),
        (torch.nn.ReLU(), Dim("b", min=1, max=10), [1, 2, 3]),
        (torch.nn.ReLU(), Dim("b", min=2, max=3), [2, 3]),
        (torch.nn.ReLU(), Dim("b", min=3, max=10), [3]),
        (torch.nn.ReLU(), Dim("b"), [0, 1, 2, 3, 11]),
    ],
    ids=str,
)
def test_a_call_outside_of_what_was_declared_is_refused(model, dim, sizes):
    program = reference.export(model, (torch.ones(3),), dynamic_shapes=({0: dim},))
    assert accepted(program, [0, 1, 2, 3, 11]) == sizes


def test_what_holds_at_a_call_holds_after_saving():
    program = reference.export(torch.nn.ReLU(), (torch.ones(3),), dynamic_shapes=({0: Dim("b", min=2, max=10)},))
    assert accepted(torch.export.load(io.BytesIO(saved(program, reference.save))), [0, 1, 2, 3, 11]) == [2, 3]


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ([torch.ones(2)], None, "Expecting `args` to be a tuple of example positional inputs, got <class 'list'>"),
        ((torch.ones(2),), [1], "kwargs must be a mapping of keyword arguments, got list"),
        (
            (),
            None,
            r"ReLU.forward\(input: .*\) .*cannot be called with the example: missing a required argument: 'input'",
        ),
        (
            ({"a": [object()]},),
            None,
            r"Unsupported input type <class 'object'>: input\['a'\]\[0\], which the reference exporter does not accept",
        ),
    ],
)
def test_an_example_that_does_not_fit_is_refused(args, kwargs, message):
    with pytest.raises(reference.InvalidInput, match=message):
        reference.export(torch.nn.ReLU(), args, kwargs)


def modes():
    return (
        torch.is_grad_enabled(),
        torch.compiler.is_compiling(),
        torch._C._get_mkldnn_enabled(),
        torch._C._get_nnpack_enabled(),
        torch._C._get_cudnn_enabled(),
        builtins.max,
        builtins.min,
        math.pow,
        torch.overrides._get_current_function_mode_stack(),
        torch.random.get_rng_state().tolist(),
    )


@pytest.mark.parametrize("model", [torch.nn.Linear(2, 2), Calls(seeds), Calls(differentiates)], ids=str)
def test_modes_and_state_are_as_before(model):
    before = modes(), [(name, id(value), value._version) for name, value in model.named_buffers()], vars(model).copy()
    parameters = [(name, id(value), value._version, value.grad) for name, value in model.named_parameters()]
    with contextlib.suppress(reference.ExportError):
        reference.export(model, (torch.ones(2),))
    after = modes(), [(name, id(value), value._version) for name, value in model.named_buffers()], vars(model).copy()
    assert after == before
    assert [(name, id(value), value._version, value.grad) for name, value in model.named_parameters()] == parameters
