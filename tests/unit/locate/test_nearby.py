"""The few nodes around an origin."""

from __future__ import annotations

from pytest_exportcheck.locate.nearby import near_node, nearest
from pytest_exportcheck.locate.recorder import Event, Owner, near_event
from pytest_exportcheck.records import NearNode, NodeRecord, NodeRef


def node(name, *inputs, op="call_function"):
    return NodeRecord(name=name, op=op, target=f"aten.{name}.default", args=tuple(map(NodeRef, inputs)), kwargs={})


def event(operator, inputs, outputs):
    return Event(operator, tuple(inputs), tuple(outputs), "", Owner())


def test_a_node_is_listed_with_what_it_takes_and_what_uses_it_in_the_order_of_the_graph():
    nodes = [node("x", op="placeholder"), node("relu", "x"), node("mul", "relu", "x"), node("add", "mul")]
    assert near_node(nodes, "mul", lambda each: f"cond.{each.name}") == (
        NearNode(name="cond.x", operator="placeholder"),
        NearNode(name="cond.relu", operator="aten.relu.default", inputs=("cond.x",)),
        NearNode(name="cond.mul", operator="aten.mul.default", inputs=("cond.relu", "cond.x"), is_origin=True),
        NearNode(name="cond.add", operator="aten.add.default", inputs=("cond.mul",)),
    )


def test_a_name_that_the_program_does_not_have_has_nothing_around_it():
    assert near_node([node("x")], "y", lambda each: each.name) == ()


def test_of_many_nodes_the_nearest_ones_are_kept():
    chain = {f"n{number}": [f"n{number - 1}"] if number else [] for number in range(40)}
    assert nearest(chain, "n20") == [f"n{number}" for number in range(16, 24)]


def test_many_inputs_or_users_leave_room_for_each_other():
    wide = {**{f"in{n}": [] for n in range(20)}, "cat": [f"in{n}" for n in range(20)]}
    wide |= {f"out{n}": ["cat"] for n in range(20)}
    assert nearest(wide, "cat") == ["in0", "in1", "in2", "cat", "out0", "out1"]


def test_operators_are_named_by_their_number_and_linked_by_their_values():
    events = [
        event("aten.mul.Tensor", ["a", "b"], ["c"]),
        event("aten.add.Tensor", ["c", "a"], ["d"]),
        event("cond", ["d"], ["e"]),
    ]
    assert near_event(events, 1) == (
        NearNode(name="mul #0", operator="aten.mul.Tensor", inputs=("given",)),
        NearNode(name="add #1", operator="aten.add.Tensor", inputs=("mul #0", "given"), is_origin=True),
        NearNode(name="cond #2", operator="cond", inputs=("add #1",)),
    )
