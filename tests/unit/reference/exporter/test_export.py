"""The reference exporter: names, provenance and regions as torch's, and what it refuses that torch captures silently wrong."""

from __future__ import annotations

import copy
import io
import sys
from functools import partial
from pathlib import Path
from typing import cast

import pytest
import torch
from torch.export import Dim

import pytest_exportcheck.reference.exporter
from pytest_exportcheck import reference
from tests.differential.captures import compared
from tests.differential.populations import Model, run
from tests.differential.roundtrips import difference_of, saved
from tests.unit.reference.exporter.calls import Calls


class Collisions(torch.nn.Module):
    """Parameters, buffers and constants whose placeholders would be called as the inputs are."""

    def __init__(self):
        super().__init__()
        self.alpha, self.delta = torch.nn.Parameter(torch.randn(4)), torch.randn(4)
        self.register_buffer("beta", torch.randn(4), persistent=False)
        self.register_buffer("gamma", torch.randn(4))
        self.self_attention = torch.nn.Linear(4, 4)

    def forward(self, p_alpha, b_beta, mul, add_1):
        state = self.alpha + self.beta + self.gamma + self.delta
        return (state + p_alpha + b_beta) * mul * add_1 + self.self_attention(p_alpha)


class Signs(torch.nn.Module):
    """Names that are no identifiers, one layer under two names, one constant under two."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleDict({"a,b": torch.nn.Linear(2, 2), "c(1)": torch.nn.Linear(2, 2)})
        self.again = self.layers["a,b"]
        self.constant = torch.ones(2)
        self.inner = torch.nn.ReLU()
        self.inner.constant = self.constant

    def forward(self, x):
        y = self.layers["a,b"](x["foo"][0]) + self.layers["c(1)"](x["foo_0"]) + self.again(x["foo"][0])
        return y + self.constant + self.inner.constant + torch.tensor([1.0, 2.0])


class Region(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.count = torch.nn.Parameter(torch.ones(2))

    def forward(self, x):
        with torch.no_grad():
            self.count.add_(1)
            seen = x + self.count
        with torch.autocast("cpu"):
            return x[None] @ seen[:, None]


class RegionsWithin(torch.nn.Module):
    """Regions in a branch, a branch in a region, a region in autocast in a region."""

    def forward(self, x):
        def branch(x):
            with torch.no_grad():
                y = x * 2
            return y + x

        first = torch.cond(x.sum() > 0, branch, torch.sin, (x,))
        with torch.no_grad():
            second = torch.cond(x.sum() > 1, branch, torch.cos, (x,))
            with torch.autocast("cpu"):
                third = x @ x
                with torch.enable_grad():
                    fourth = third @ x
        return first, second, third, fourth.float()


@pytest.mark.parametrize("sign", [1, -1])
def test_regions_within_regions_and_branches(sign):
    args = (torch.randn(2, 2, requires_grad=True),)
    program = reference.export(RegionsWithin(), args)
    file = io.BytesIO(saved(program, reference.save))
    x = (sign * torch.ones(2, 2)).requires_grad_()
    expected = RegionsWithin()(x)
    for each in (program, reference.load(file)):
        assert difference_of(each.module()(x), expected) == ""


def provenance(program):
    kept = ("nn_module_stack", "torch_fn", "stack_trace")
    inputs = [node for node in program.graph.nodes if node.op == "placeholder"]
    return {
        "gradients": [node.meta["val"].requires_grad for node in inputs],
        **{
            node.name: [str(node.meta.get(key)) for key in kept]
            for node in program.graph.nodes
            if str(node.target).startswith("aten")
        },
    }


@pytest.mark.parametrize(
    ("model", "args"),
    [
        (Collisions(), tuple(torch.randn(4) for _ in range(4))),
        (Signs(), ({"foo": [torch.randn(1, 2)], "foo_0": torch.randn(1, 2)},)),
        (Region(), (torch.randn(2, requires_grad=True),)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_names_and_provenance_are_torchs(model, args):
    theirs = torch.export.export(copy.deepcopy(model), args)
    ours = reference.export(copy.deepcopy(model), args)
    as_called = partial(run, Model("", type(model), args))
    assert set(compared(ours, theirs, as_called).values()) == {""}
    assert provenance(ours) == provenance(theirs)


def test_additional_inputs_say_what_is_dynamic_and_are_tried():
    inputs = torch.export.AdditionalInputs()
    inputs.add((torch.ones(5),))
    program = reference.export(torch.nn.ReLU(), (torch.ones(3),), dynamic_shapes=inputs)
    assert program.module()(torch.ones(7)).shape == (7,)


def test_what_a_profiler_is_told_is_left_out():
    def recorded(_, x):
        with torch.profiler.record_function("part"):
            return x + 1

    program = reference.export(Calls(recorded), (torch.ones(2),))
    assert [node.name for node in program.graph.nodes][-2:] == ["add", "output"]


def test_a_slice_that_ends_at_a_tensor():
    model = Calls(lambda self, x, end: x[:end] * 2)
    program = reference.export(model, (torch.arange(5.0), torch.tensor(2)))
    assert [program.module()(torch.arange(5.0), torch.tensor(end)).tolist() for end in (0, 3)] == [[], [0, 2, 4]]


def test_a_buffer_that_is_assigned_anew_is_written_to():
    def counts(self, x):
        self.buffer = self.buffer + 1
        return x + self.buffer

    model = Calls(counts)
    program = reference.export(model, (torch.ones(2),)).module()
    assert [program(torch.ones(2)).tolist() for _ in range(2)] == [[2, 2], [3, 3]]


def test_what_forward_sets_is_taken_back():
    def remembers(self, x):
        self.number += 1
        self.last = x + 1
        return self.last * 2

    model = Calls(remembers)
    reference.export(model, (torch.ones(2),))
    assert model.number == 0
    assert not hasattr(model, "last")


OUTSIDE = torch.nn.Linear(2, 2)


def test_a_module_that_is_not_part_of_the_model_is_constant():
    program = reference.export(Calls(lambda _, x: OUTSIDE(x)), (torch.ones(2),))
    assert list(program.constants) == ["lifted_tensor_0", "lifted_tensor_1"]
    assert difference_of(program.module()(torch.ones(2)), OUTSIDE(torch.ones(2)).detach()) == ""


class Tables(torch.nn.Module):
    """Buffers that the state dict leaves out. A set would have them in another order in most processes."""

    def __init__(self):
        super().__init__()
        for name in ("delta", "alpha", "gamma", "beta", "omega", "eta", "zeta", "iota"):
            self.register_buffer(name, torch.ones(1), persistent=False)

    def forward(self, x):
        return x + self.delta


def test_buffers_that_are_not_persistent_keep_their_order():
    programs = [export(Tables(), (torch.ones(1),)) for export in (torch.export.export, reference.export)]
    theirs, ours = (list(program.constants) for program in programs)
    assert ours == theirs == list(dict(Tables().named_buffers()))


def test_one_tensor_given_twice_is_two_inputs():
    tensor = torch.ones(2)
    program = reference.export(Calls(lambda _, x, y: x - y), (tensor, tensor))
    assert program.module()(torch.ones(2), torch.zeros(2)).tolist() == [1, 1]


def test_a_second_retrace_has_the_module_stacks_of_the_first():
    def stacks(program):
        return [node.meta["nn_module_stack"] for node in program.graph.nodes if node.op == "call_function"]

    model, args = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU()), (torch.ones(1, 2),)
    first = reference.export(model, args)
    second = reference.export(first.module(), args)
    third = reference.export(second.module(), args)
    assert stacks(first) == stacks(second) == stacks(third)


def test_no_function_of_torchs_pipeline_is_called_directly():
    own = tuple(
        str(Path(cast("str", part.__file__)).parent) for part in (pytest_exportcheck.reference.exporter, reference)
    )
    root = Path(torch.__file__).parent
    banned = (f"{root}/export/_trace.py", f"{root}/export/_unlift.py", f"{root}/export/pt2_archive", f"{root}/_export/")
    found = set()

    def note(frame, event, _):
        caller = frame.f_back.f_code.co_filename if frame.f_back else ""
        callee = frame.f_code.co_filename
        if event == "call" and caller.startswith(own) and callee.startswith(banned) and "verifier" not in callee:
            found.add(f"{caller}:{frame.f_back.f_lineno} calls {callee}:{frame.f_code.co_name}")

    shapes = ({0: 2 * Dim("half", min=2, max=10)},)
    sys.setprofile(note)
    try:
        reference.export(RegionsWithin(), (torch.randn(2, 2),))
        reference.export(Signs(), ({"foo": [torch.randn(1, 2)], "foo_0": torch.randn(1, 2)},))
        program = reference.export(torch.nn.ReLU(), (torch.ones(6),), dynamic_shapes=shapes)
        reference.decompose(reference.decompose(program))
        reference.export(torch.nn.LSTM(2, 2), (torch.ones(3, 2),), pre_dispatch=False)
    finally:
        sys.setprofile(None)
    assert found == set()
