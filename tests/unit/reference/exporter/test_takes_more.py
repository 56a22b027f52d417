"""The reference engine takes what torch's takes: results that are objects, numbers, files, messages, suggestions."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from torch import nn
from torch.export import Dim, ShapesCollection
from torch.export.dynamic_shapes import refine_dynamic_shapes_from_suggested_fixes

from pytest_exportcheck import reference
from pytest_exportcheck.harness.isolation import quiet
from pytest_exportcheck.reference._torch.sizes import IntWrapper
from pytest_exportcheck.reference.pt2.plain.difference import difference
from pytest_exportcheck.reference.pt2.program.to_plain import plain_program
from tests.differential.roundtrips import saved
from tests.opaque_objects import Counter
from tests.opaque_objects import load as load_operators
from tests.unit.reference.exporter.calls import Calls

ENGINES = [torch.export.export, reference.export]
IDS = ["torch", "reference"]
X = torch.ones(2, 3)


def trusting(file):
    return reference.load(file, trust=True)


def loaded(program, save, load):
    with quiet():  # torch's loader has a malformed call of its log, at which pytest's handler raises
        return load(io.BytesIO(saved(program, save)))


# --- objects that operators return ----------------------------------------------------------


@pytest.fixture(scope="module")
def objects():
    load_operators()
    return torch.ops.exportcheck_opaque


RESULTS = {
    "used": lambda ops, counter, x: ops.bump(ops.make(x), x),
    "used twice": lambda ops, counter, x: (lambda made: ops.bump(made, x) + ops.bump(made, x))(ops.make(x)),
    "unused": lambda ops, counter, x: (ops.make(x), x + 1)[1],
    "returned": lambda ops, counter, x: (ops.make(x), x + 1),
    "of an object": lambda ops, counter, x: ops.bump(ops.next(counter), x),
    "one of several": lambda ops, counter, x: (lambda both: ops.bump(both[1], both[0]))(ops.split(x)),
}


def contents(value):
    return [each.number if isinstance(each, Counter) else each.tolist() for each in (value if isinstance(value, tuple) else (value,))]  # fmt: skip


@pytest.mark.parametrize(("name", "strict"), [*((name, False) for name in RESULTS), ("one of several", True)])
def test_an_operator_returns_an_object(objects, name, strict):
    model, args = Calls(lambda _, counter, x: RESULTS[name](objects, counter, x)), (Counter(4), X)
    program = reference.export(model, args, strict=strict)
    expected = contents(model(*args))
    lowered = reference.decompose(program)
    for each in (program, lowered):
        read = loaded(each, reference.save, trusting)
        assert difference(plain_program(each), plain_program(read)) == {}
        assert contents(each.module()(*args)) == contents(read.module()(*args)) == expected
    assert contents(torch.export.unflatten(program)(*args)) == expected


def test_a_given_object_is_not_a_constant_of_the_program(objects):
    program = reference.export(Calls(lambda _, counter, x: objects.bump(counter, x)), (Counter(), X))
    assert program.constants == loaded(program, reference.save, trusting).constants == {}
    assert loaded(program, reference.save, torch.export.load).module()(Counter(2), X)[0, 0] == 4


# --- numbers and functions ------------------------------------------------------------------


class Adds(nn.Module):
    def forward(self, x, y):
        return x + y


@pytest.mark.parametrize("export", ENGINES, ids=IDS)
def test_wrapped_numbers_are_distinguished_in_a_collection(export):
    args = IntWrapper(5), IntWrapper(5)
    shapes = ShapesCollection()
    shapes[args[0]] = Dim.DYNAMIC
    program = export(Adds(), args, dynamic_shapes=shapes)
    first, _ = program.graph.find_nodes(op="placeholder")
    assert type(first.meta["val"]) is torch.SymInt
    if export is reference.export:
        assert program.module()(7, 5) == 12


def test_an_index_inside_vmap():
    from torch._dynamo._trace_wrapped_higher_order_op import TransformGetItemToIndex

    def indexes(self, numbers):
        with TransformGetItemToIndex():
            return torch.vmap(lambda number: self.buffer[number])(numbers)

    model, numbers = Calls(indexes), torch.tensor([1, 0])
    model.buffer = torch.tensor([3.0, 4.0])
    program = reference.export(model, (numbers,))
    for each in (program, reference.decompose(program)):
        assert each.module()(numbers).tolist() == [4, 3]


# --- files ----------------------------------------------------------------------------------

PAIRS = [(save, load) for save in (torch.export.save, reference.save) for load in (torch.export.load, trusting)]
PAIR_IDS = ["torch>torch", "torch>reference", "reference>torch", "reference>reference"]


class Derived(nn.Module):
    def forward(self, x, y, z):
        return x + y[1:] + torch.cat([z, z])


@pytest.fixture(scope="module", params=[False, True], ids=["captured", "lowered"])
def derived(request):
    half = Dim("half", min=3, max=50)
    shapes = {"x": {0: 2 * half}, "y": {0: 2 * half + 1}, "z": {0: half}}
    program = reference.export(Derived(), (torch.ones(8), torch.ones(9), torch.ones(4)), dynamic_shapes=shapes)
    return reference.decompose(program) if request.param else program


@pytest.mark.parametrize(("save", "load"), PAIRS, ids=PAIR_IDS)
def test_ranges_of_derived_dims_are_in_files(derived, save, load):
    read = loaded(derived, save, load)
    ranges = {str(key): (int(each.lower), int(each.upper)) for key, each in read.range_constraints.items()}
    (symbol,) = [key for key in ranges if key.isidentifier()]
    assert ranges == {symbol: (3, 50), f"2*{symbol}": (6, 100), f"2*{symbol} + 1": (7, 101)}
    if (save, load) == (reference.save, trusting):
        assert difference(plain_program(derived), plain_program(read)) == {}


@pytest.fixture(scope="module", params=[False, True], ids=["captured", "lowered"])
def calls_python(request, scaled):
    program = reference.export(Calls(lambda _, x: scaled(x, 2.0, [1, 2], name="bc")), (X.clone(),))
    return reference.decompose(program) if request.param else program


@pytest.fixture(scope="module")
def scaled():
    @torch.library.custom_op("exportcheck_python::scaled", mutates_args={"x"})
    def scaled(x: torch.Tensor, by: float, more: list[int], name: str = "a") -> torch.Tensor:
        x.add_(by)
        return x * sum(more) + len(name)

    scaled.register_fake(lambda x, by, more, name="a": torch.empty_like(x))
    return scaled


@pytest.mark.parametrize(("save", "load"), PAIRS, ids=PAIR_IDS)
def test_a_python_function_as_an_operator_is_in_files(calls_python, save, load):
    read = loaded(calls_python, save, load)
    x = torch.ones(2, 3)
    assert read.module()(x)[0, 0] == 11
    assert x[0, 0] == 3


def listed(self, x):
    first, (second, third) = torch.ops.exportcheck_listed.both(x)
    return first + second * third


def test_names_of_results_that_were_lists():
    library = torch.library.Library("exportcheck_listed", "FRAGMENT")
    library.define("both(Tensor x) -> (Tensor, Tensor[])")
    library.impl("both", lambda x: (x + 1, [x + 2, x + 3]), "CompositeExplicitAutograd")
    try:
        program = reference.export(Calls(listed), (X,))
        (call,) = [node for node in program.graph.nodes if node.name == "both"]
        (inner,) = [node for node in call.users if node.args[1] == 1]
        for taker in list(inner.users):  # a name that the reader makes for the list
            taker.name = f"both_{taker.args[1] + 1}"
        read = loaded(program, reference.save, trusting)
        assert difference(plain_program(program), plain_program(read)) == {}
        assert torch.equal(read.module()(X), listed(None, X))
    finally:
        library._destroy()


# --- messages -------------------------------------------------------------------------------


class Nested(nn.Module):
    def forward(self, x, flag=True):
        return x["a"] + 1 if flag else x["a"]


WRONG_CALLS: dict[str, tuple[Any, ...]] = {
    "another size": ({"a": torch.ones(6, 3)}, True),
    "above the range": ({"a": torch.ones(9, 3)}, True),
    "another key": ({"b": X}, True),
    "too many": ({"a": X}, True, X),
    "another constant": ({"a": X}, False),
}


def unflattened_says(export, args):
    shapes = {"x": {"a": {0: Dim("b", min=2, max=5)}}, "flag": None}
    module = torch.export.unflatten(export(Nested(), ({"a": X}, True), dynamic_shapes=shapes))
    with pytest.raises((RuntimeError, TypeError)) as caught, quiet():
        module(*args)
    return f"{type(caught.value).__name__}: {caught.value}"


@pytest.mark.parametrize("args", WRONG_CALLS.values(), ids=WRONG_CALLS)
def test_an_unflattened_program_refuses_a_call_in_the_same_words(args):
    assert unflattened_says(reference.export, args) == unflattened_says(torch.export.export, args)


class Between(nn.Module):
    def forward(self, x):
        if not 10 < x < 20:
            raise ValueError("out of range")
        return x * torch.ones(2)


@pytest.mark.parametrize("strict", [False, True], ids=["nonstrict", "strict"])
def test_a_declared_range_that_the_model_does_not_accept(strict):
    with pytest.raises(ValueError, match=r"\[3, 10\], conflicting with") as caught:
        reference.export(Between(), (14,), dynamic_shapes=(Dim.DYNAMIC(min=3, max=10),), strict=strict)
    assert str(caught.value) == (
        "Found the following conflicts between user-specified ranges and inferred ranges from model tracing: Received "
        "user-specified min/max range of [3, 10], conflicting with the inferred min/max range of [11, 19], for x. Declare a "
        "range that the model accepts."
    )


def test_a_size_of_one_that_was_declared_dynamic():
    with pytest.raises(reference.InvalidInput) as caught:
        reference.export(nn.ReLU(), (torch.ones(1, 3),), dynamic_shapes={"input": {0: Dim.DYNAMIC}})
    assert caught.value.msg == (
        "Found the following conflicts between user-specified ranges and inferred ranges from model tracing: Received "
        "user-specified dim hint Dim.DYNAMIC(min=None, max=None), but export 0/1 specialized due to hint of 1 for dimension "
        "input.shape[0]. Pass an example of size 2 or more, or declare Dim.AUTO."
    )


# --- suggestions ----------------------------------------------------------------------------

SUGGESTIONS = {
    "static": lambda x, y: x + torch.ones(4),
    "equal": lambda x, y: x + y[: x.shape[0]] * (1 if x.shape[0] + 1 == y.shape[0] else 2),
    "derived": lambda x, y: x + y[1:],
    "at least": lambda x, y: x * (1 if x.shape[0] >= 3 else 2),
    "at most": lambda x, y: x * (1 if x.shape[0] <= 30 else 2),
    "divisible": lambda x, y: x.view(-1, 2),
}


def refined(export, function):
    """Return the shapes that the message suggests, with which the export succeeds, and its ranges."""

    class Model(nn.Module):
        def forward(self, x, y):
            return function(x, y)

    args = torch.ones(4), torch.ones(5)
    shapes: Any = {"x": {0: Dim("a")}, "y": {0: Dim("b")}}
    with pytest.raises(torch._dynamo.exc.UserError) as caught:
        export(Model(), args, dynamic_shapes=shapes)
    shapes = refine_dynamic_shapes_from_suggested_fixes(str(caught.value.msg), shapes)
    return str(shapes), sorted(map(str, export(Model(), args, dynamic_shapes=shapes).range_constraints.values()))


@pytest.mark.parametrize("name", SUGGESTIONS)
def test_suggested_fixes_can_be_applied(name):
    assert refined(reference.export, SUGGESTIONS[name]) == refined(torch.export.export, SUGGESTIONS[name])
