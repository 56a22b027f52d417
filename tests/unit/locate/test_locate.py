"""The search for the origin of a difference, on small programs that are edited by hand."""

from __future__ import annotations

import copy

import pytest
import torch

from pytest_exportcheck.checks import align
from pytest_exportcheck.checks.closeness import Rule
from pytest_exportcheck.describe import program_of
from pytest_exportcheck.locate import Side, detached_origin, gradient_origin, program_origin, raising_origin
from pytest_exportcheck.locate.gaps import gap_between
from pytest_exportcheck.locate.recorder import Recorded, Recorder
from pytest_exportcheck.policy import CLOSE
from pytest_exportcheck.records import Inputs

BITS, NEAR = Rule("bits", None, CLOSE), Rule("close", None, CLOSE)
X = torch.linspace(-1, 1, 6).reshape(2, 3)
CALL = Inputs("the example inputs", (X,), {})


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 3)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x):
        self.calls.add_(1)
        return torch.relu(self.layer(x)) * 2 + self.calls


def program(module=None, args=(X,)):
    torch.manual_seed(0)
    return torch.export.export(module or Net(), args)


def edited(source, edit):
    made = copy.deepcopy(source)
    made._state_dict = source.state_dict
    edit({node.name: node for node in made.graph.nodes}, made)
    made.graph_module.recompile()
    return made


def side(of):
    return Side(of, program_of(of, declared=(), runs=()))


def origin(before, after, *, rule=BITS, how="names", search=program_origin):
    one, other = side(before), side(after)
    return search(one, other, align(one.record, other.record, how), CALL, rule)


def set_factor(factor):
    def edit(nodes, _):
        nodes["mul"].args = (nodes["mul"].args[0], factor)

    return edit


def test_programs_that_agree_have_their_difference_outside_of_the_graph():
    before = program()
    found = origin(before, edited(before, lambda nodes, made: None))
    assert (found.kind, found.after, found.rows, found.on) == ("outside", None, (), "the example inputs")


def test_the_first_node_that_differs_is_the_origin_and_those_after_it_have_other_inputs():
    before = program()
    found = origin(before, edited(before, set_factor(3)))
    assert found.kind == "changed"
    assert found.before.call == "aten.mul.Tensor(%relu, 2)"
    assert found.after.call == "aten.mul.Tensor(%relu, 3)"
    assert found.after.module == "Net"
    assert found.after.line.endswith("in forward: return torch.relu(self.layer(x)) * 2 + self.calls")
    assert [(row.node.name, row.inputs_agree) for row in found.rows] == [("mul", True), ("add", False)]
    assert len({row.difference for row in found.rows}) == 1


def test_where_rounding_is_allowed_the_node_that_is_too_far_by_itself_is_the_origin():
    before = program()

    def edit(nodes, made):
        with made.graph.inserting_after(nodes["relu"]):
            off = made.graph.call_function(torch.ops.aten.mul.Tensor, (nodes["relu"], 1 + 2e-7))
        off.meta = dict(nodes["relu"].meta)
        nodes["mul"].args = (off, 3)

    found = origin(before, edited(before, edit), rule=NEAR)
    assert (found.kind, found.after.name) == ("changed", "mul")


def test_where_every_node_is_close_the_one_that_differs_most_is_named():
    before = program()
    found = origin(before, edited(before, set_factor(2 + 4e-7)), rule=NEAR)
    assert (found.kind, found.after.name) == ("rounding", "mul")


def test_a_node_that_makes_nan_is_said_to():
    before = program()
    found = origin(before, edited(before, set_factor(float("nan"))))
    assert found.nonfinite
    assert found.rows[0].difference == "NaN or infinity"


def test_a_parameter_that_holds_another_value_is_the_origin():
    before = program()

    def edit(_, made):
        made._state_dict = {**made.state_dict, "layer.bias": torch.nn.Parameter(torch.ones(3))}

    found = origin(before, edited(before, edit))
    assert (found.kind, found.after.name, found.after.operator) == ("state", "p_layer_bias", "placeholder")


def test_another_node_that_is_returned_is_named():
    before = program()

    def edit(nodes, _):
        nodes["output"].args = ((nodes["mul"],),)

    found = origin(before, edited(before, edit))
    assert (found.kind, found.after.name) == ("returned", "mul")


def test_the_state_of_an_earlier_call_is_the_state_at_the_start():
    before = program()
    one = side(before)
    later = Side(before, one.record, {"calls": torch.full((1,), 5.0)})
    run = later.run(CALL)
    values = {node.name: value for node, value in run.steps()}
    assert values["add_"].tolist() == [6.0]
    assert before.state_dict["calls"].tolist() == [0.0]


def test_the_node_that_raises_is_found_with_its_line():
    before = program()

    def edit(nodes, _):
        nodes["mul"].args = (nodes["relu"], "two")

    found = raising_origin(side(edited(before, edit)), CALL)
    assert (found.kind, found.after.name) == ("raised", "mul")
    assert raising_origin(side(before), CALL) is None


def test_a_gradient_that_is_lost_is_followed_to_the_detached_node_and_no_hook_stays():
    before = program()

    def edit(nodes, made):
        with made.graph.inserting_after(nodes["relu"]):
            still = made.graph.call_function(torch.ops.aten.detach.default, (nodes["relu"],))
        nodes["mul"].args = (still, 2)

    after = edited(before, edit)
    found = origin(before, after, search=gradient_origin)
    assert (found.kind, found.after.name) == ("detached", "detach_default")
    assert detached_origin(side(after), CALL).after.name == "detach_default"
    assert not before.state_dict["layer.weight"]._backward_hooks


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (torch.zeros(2), torch.zeros(3), "shape [3] for [2]"),
        (torch.zeros(2), torch.zeros(2, dtype=torch.float64), "dtype float64 for float32"),
        ((torch.zeros(2), 1), (torch.zeros(2),), "1 values for 2"),
        (3, 4, "4 for 3"),
        (3, 4.0, "float for int"),
        (torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.5]), "0.5"),
    ],
)
def test_a_difference_is_said_in_few_words(before, after, text):
    assert gap_between(before, after, BITS).text == text


def test_values_that_are_alike_have_no_difference_whatever_their_strides():
    value = torch.arange(6.0).reshape(2, 3)
    assert gap_between(value, value.t().contiguous().t(), BITS) is None
    assert gap_between(float("nan"), float("nan"), BITS) is None


def test_the_recorder_notes_what_an_operator_writes_to():
    recorded = Recorded()
    with Recorder(recorded, (), None):
        total = torch.zeros(2)
        total.add_(1)
    event = recorded.events[-1]
    assert event.operator == "aten.add_.Tensor"
    assert event.inputs[0] != event.outputs[0]
