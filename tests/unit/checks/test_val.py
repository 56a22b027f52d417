"""What a finding about ``val`` says: against a run, and against before."""

from __future__ import annotations

import pytest

from pytest_exportcheck.checks import val
from pytest_exportcheck.policy import tolerated
from pytest_exportcheck.records import Cause, Finding, NodeRun
from pytest_exportcheck.reports.wording import kind_of
from tests.unit.records_of import constraints, program, record, size, summary, tensor

ADD = "x\nadd = aten.add.Tensor(x, 1)\nreturn add"
CHAIN = "x\na = f.a(x)\nb = f.b(a)\nc = f.c(b)\nreturn c"
S, U = size("s"), size("u")
RANGES = constraints(ranges={"s": (2, 10)})


@pytest.fixture
def against_run(evidence):
    """Findings where ``add`` yielded one thing and its metadata says another."""

    def make(real, said, *, text=ADD, sizes=None):
        values, vals = (each if text is not ADD else {"add": each} for each in (real, said))
        run = NodeRun(label="on the example inputs", values=values, sizes=sizes or {})
        captured = program(text, vals=vals, runs=(run,))
        return val.check(evidence(record(), record(captured), stage="nonstrict"))

    return make


@pytest.fixture
def against_before(evidence):
    def make(before, after, *, node="add"):
        programs = [program(ADD, vals={node: each}, constraints=RANGES) for each in (before, after)]
        return val.check(evidence(*map(record, programs)))

    return make


@pytest.mark.parametrize(
    ("real", "said"),
    [
        (tensor(2, 3), tensor(2, 3)),
        (tensor(1, 3, stride=(7, 1)), tensor(1, 3)),
        (tensor(0, 3), tensor(0, 3, stride=(1, 5))),
        (tensor(5, stride=(1,)), tensor(U, stride=(1,))),
        (tensor(2, stride=None, layout="sparse_coo"), tensor(2, stride=None, layout="sparse_coo")),
        ((tensor(2), 3), (tensor(2), 3)),
        ((tensor(2), None), (tensor(2), tensor(2))),
        (3, 3),
        (3, U),
        (True, True),
        (1.5, "2.5"),
        (None, tensor(2)),
        ((), ()),
    ],
)
def test_what_a_run_may_yield_is_no_finding(against_run, real, said):
    assert against_run(real, said) == []


def test_a_difference_is_shown_with_the_node(against_run):
    assert against_run(tensor(2), tensor(3)) == [
        Finding(
            check="val",
            place="add",
            change="changed",
            key="shape",
            expected="[2]",
            actual="[3]",
            detail="val of aten.add.Tensor(%x, 1), on the example inputs",
            causes=(Cause("node", "aten.add.Tensor"),),
        )
    ]


@pytest.mark.parametrize(
    ("real", "said", "kind"),
    [
        (tensor(2), tensor(2, dtype="float64"), "dtype"),
        (tensor(2), tensor(2, device="meta"), "device"),
        (tensor(2), tensor(2, layout="sparse_coo"), "layout"),
        (tensor(2), tensor(2, 1), "shape"),
        (tensor(2, 3), tensor(2, 3, stride=(1, 2)), "stride"),
        (tensor(2), None, "missing"),
        (tensor(2), 3, "type"),
        (tensor(2), (tensor(2),), "type"),
        ((tensor(2),), (tensor(2), tensor(2)), "length"),
        ((tensor(2),), None, "missing"),
        ((tensor(2), tensor(3)), (tensor(2), tensor(4)), "shape"),
        (3, 4, "value"),
        (True, False, "value"),
        (3, None, "missing"),
        (1.5, None, "missing"),
    ],
)
def test_what_a_run_does_not_yield_is_a_finding(against_run, real, said, kind):
    assert [kind_of(each) for each in against_run(real, said)] == [kind]


@pytest.mark.parametrize(("real", "said"), [(3, tensor()), (3, (3,)), (3, "text")])
def test_a_number_that_was_said_to_be_something_else_is_a_finding(against_run, real, said):
    assert len(against_run(real, said)) == 1


def test_a_symbol_of_the_inputs_has_the_value_that_the_example_gives(against_run):
    said = tensor(size("2*s"), stride=(1,))
    assert against_run(tensor(8), said, sizes={"s": 4}) == []
    assert summary(against_run(tensor(9), said, sizes={"s": 4})) == [("add", "shape", "[9]", "[2*s]")]


def test_an_unbacked_symbol_has_the_value_of_its_first_appearance(against_run):
    said = {name: tensor(U, stride=(1,)) for name in "abc"}
    assert against_run({name: tensor(5) for name in "abc"}, said, text=CHAIN) == []
    found = against_run({"a": tensor(5), "b": tensor(6), "c": tensor(5)}, said, text=CHAIN)
    assert summary(found) == [("b", "shape", "[6]", "[u]")]


def test_what_follows_from_a_wrong_val_is_no_finding_of_its_own(against_run):
    runs, said = {name: tensor(2) for name in "abc"}, {name: tensor(3) for name in "abc"}
    assert [each.place for each in against_run(runs, said, text=CHAIN)] == ["a"]


def test_another_field_downstream_is_a_finding_of_its_own(against_run):
    runs, said = {name: tensor(2) for name in "ab"}, {"a": tensor(3), "b": tensor(2, dtype="int64")}
    assert summary(against_run(runs, said, text=CHAIN)) == [
        ("a", "shape", "[2]", "[3]"),
        ("b", "dtype", "float32", "int64"),
    ]


def test_a_number_that_stands_for_a_symbol_shows_at_other_sizes(evidence):
    runs = [NodeRun(label=f"run {n}", values={"add": tensor(n)}, sizes={"s": n}) for n in (4, 5)]
    captured = record(program(ADD, vals={"add": tensor(4)}, runs=tuple(runs)))
    found = val.check(evidence(record(), captured, stage="nonstrict"))
    assert [(*summary([each])[0], each.detail) for each in found] == [
        ("add", "shape", "[5]", "[4]", "val of aten.add.Tensor(%x, 1), run 5")
    ]


def test_placeholders_and_nodes_of_subgraphs_are_held_against_the_run(evidence):
    run = NodeRun(label="a run", values={"x": tensor(2), "c[1].a": tensor(3)}, sizes={})
    inner = {"c[1]": "a\nreturn a"}
    captured = program("x\nc = cond(x, graph)\nreturn c", subgraphs=inner, vals={"x": tensor(3)}, runs=(run,))
    found = val.check(evidence(record(), record(captured), stage="nonstrict"))
    assert [(each.place, kind_of(each)) for each in found] == [("x", "shape"), ("c[1].a", "missing")]


def test_a_node_that_was_not_reached_is_not_judged(against_run):
    assert against_run({}, {"a": tensor(3)}, text=CHAIN) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (tensor(2), tensor(2)),
        (tensor(size("2*(s + 1)"), stride=(1,)), tensor(size("2*s + 2"), stride=(1,))),
        (tensor(size("Max(1, s)"), stride=(1,)), tensor(S, stride=(1,))),
        (tensor(1, 3, stride=(7, 1)), tensor(1, 3)),
        ((tensor(2), None, 3), (tensor(2), None, 3)),
        (S, S),
        ("1.5", "1.5"),
        (None, None),
    ],
)
def test_what_is_equal_under_the_ranges_is_no_finding(against_before, before, after):
    assert against_before(before, after) == []


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (tensor(2), tensor(3), "shape"),
        (tensor(2), tensor(2, 1), "shape"),
        (tensor(S, stride=(1,)), tensor(4), "shape"),
        (tensor(2, 3), tensor(2, 3, stride=(1, 2)), "stride"),
        (tensor(2, 3), tensor(2, 3, stride=None, layout="sparse_coo"), "layout"),
        (tensor(2), tensor(2, dtype="int64"), "dtype"),
        (tensor(2), tensor(2, offset=4), "storage_offset"),
        (tensor(2), None, "missing"),
        (None, tensor(2), "gained"),
        (tensor(2), 2, "value"),
        (1, True, "value"),
        (1, "1.0", "value"),
        (S, 3, "symbol"),
        (S, None, "missing"),
        (S, tensor(2), "symbol"),
        ((tensor(2),), (tensor(2), tensor(2)), "value"),
        ((tensor(2), 1), (tensor(2), 2), "value"),
    ],
)
def test_what_differs_from_before_is_a_finding(against_before, before, after, kind):
    assert kind in [kind_of(each) for each in against_before(before, after)]


@pytest.mark.parametrize(("before", "after"), [(None, (tensor(2),)), ((tensor(2),), None)])
def test_a_value_that_the_output_node_gained_or_lost_is_of_a_field_that_may_be_lost(against_before, before, after):
    found = tolerated(against_before(before, after, node="output"), "serdes")
    assert {(each.name, each.verdict) for each in found} <= {("val.output", "tolerated")}


def test_a_value_of_a_node_in_a_subgraph_is_compared(evidence):
    def made(value):
        inner = {"c[1]": "a\nreturn a"}
        whole = program("x\nc = cond(x, graph)\nreturn c", subgraphs=inner)
        graph = whole.graphs["c[1]"]
        object.__setattr__(graph.nodes[0], "val", value)
        return record(whole)

    assert [each.place for each in val.check(evidence(made(tensor(2)), made(tensor(3))))] == ["c[1].a"]
