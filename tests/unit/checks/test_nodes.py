"""What a finding about nodes says, and how few there are of one difference."""

from __future__ import annotations

import pytest

from pytest_exportcheck.checks import nodes
from pytest_exportcheck.policy import tolerated
from pytest_exportcheck.records import Cause, Finding, GraphRecord, NodeRecord, NodeRef
from pytest_exportcheck.reports.wording import kind_of
from tests.unit.records_of import constraints, program, record, size, summary

ADD = "x\nadd = aten.add.Tensor(x, 1)\nreturn add"


@pytest.fixture
def findings(evidence):
    def make(before, after, **options):
        before, after = (program(each) if isinstance(each, str) else each for each in (before, after))
        return nodes.check(evidence(record(before), record(after), **options))

    return make


@pytest.mark.parametrize("stage", ["strict", "serdes", "retrace"])
def test_a_program_is_equal_to_itself(findings, stage):
    assert findings(ADD, ADD, stage=stage) == []


def test_another_argument_is_named_by_its_place(findings):
    assert findings(ADD, ADD.replace("1", "2")) == [
        Finding(
            check="nodes",
            place="add",
            change="changed",
            key="args",
            expected="argument 2: 1",
            actual="argument 2: 2",
            detail="of aten.add.Tensor(%x, 1)",
            causes=(Cause("node", "aten.add.Tensor"),),
        )
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [("1", "1.0"), ("1", "True"), ("0", "False"), ("None", "0"), ("[1, 2]", "[2, 1]"), ("[1]", "1"), ("[]", "[[]]"),
     ("[x, None]", "[None, x]"), ("'mean'", "'sum'"), ("1", "'1'"), ("x", "'x'"), ("[1, 1]", "[1, True]")],
)  # fmt: skip
def test_values_that_python_takes_for_equal_or_alike_differ(findings, before, after):
    assert [kind_of(each) for each in findings(ADD.replace("1", before), ADD.replace("1", after))] == ["args"]


def test_an_argument_that_is_gone_is_not_given(findings):
    assert summary(findings(ADD, ADD.replace(", 1", ""))) == [
        ("add", "args", "argument 2: 1", "argument 2: not given"),
    ]


def test_a_keyword_is_named(findings):
    before, after = ADD.replace("1", "1, alpha=2"), ADD.replace("1", "1, alpha=3")
    assert summary(findings(before, after)) == [("add", "kwargs", "argument alpha: 2", "argument alpha: 3")]


def test_the_order_of_keywords_means_nothing(findings):
    assert findings(ADD.replace("1", "1, a=2, b=3"), ADD.replace("1", "1, b=3, a=2")) == []


def test_independent_nodes_in_another_order_are_one_finding_that_a_loader_may_make(findings):
    names = {name: f"{name} = aten.{name}.default(x)" for name in ("sin", "cos", "tan")}
    before, after = (
        "\n".join(["x", *(names[name] for name in order), "return sin, cos, tan"])
        for order in (("sin", "cos", "tan"), ("tan", "sin", "cos"))
    )
    (finding,) = tolerated(findings(before, after), "serdes")
    assert summary([finding]) == [("cos", "order", "before the next operation", "after it")]
    assert finding.verdict == "tolerated"


def test_outputs_in_another_order_are_a_finding(findings):
    before = "x\na = aten.sin.default(x)\nreturn a, x"
    assert summary(findings(before, before.replace("a, x", "x, a"))) == [
        ("output", "args", "argument 1: [%a, %x]", "argument 1: [%x, %a]"),
    ]


def test_an_unused_result_is_told_apart(findings):
    before = "x\ns = aten.split.Tensor(x, 2)\na = _operator.getitem(s, 0)\nreturn a"
    after = before.replace("\nreturn", "\nb = _operator.getitem(s, 1)\nreturn")
    assert [kind_of(each) for each in findings(before, after)] == ["unused result added"]


def test_the_line_of_user_code_is_given(findings):
    meta = {"add": {"stack_trace": '  File "net.py", line 4, in forward\n    return x + 1'}}
    (finding,) = findings(program(ADD, meta=meta), program(ADD.replace("1", "2")))
    assert finding.line == "net.py:4 in forward: return x + 1"


def test_sizes_of_other_spelling_are_equal(findings):
    def sized(text):
        outer = GraphRecord("", (NodeRecord(name="n", op="call_function", target="f", args=(size(text),), kwargs={}),))
        return program(ADD, graphs={"": outer}, constraints=constraints(ranges={"s": (2, 10)}))

    assert findings(sized("2*(s + 1)"), sized("2*s + 2")) == []
    assert summary(findings(sized("2*s"), sized("3*s"))) == [("n", "args", "argument 1: 2*s", "argument 1: 3*s")]


BRANCH = "p\nx\nc = cond(p, graph, graph, [x])\nreturn c"


def test_a_difference_in_a_subgraph_has_its_path(findings):
    same = {"c[1]": "a\ns = aten.sin.default(a)\nreturn s", "c[2]": "a\nreturn a"}
    before, after = (
        program(BRANCH, subgraphs={**same, "c[1]": same["c[1]"].replace("sin", name)}) for name in ("sin", "cos")
    )
    assert summary(findings(before, after)) == [
        ("c[1].s", "target", "aten.sin.default(%a)", "aten.cos.default(%a)"),
    ]


def test_branches_that_were_swapped_are_found(findings):
    one, other = "a\ns = aten.sin.default(a)\nreturn s", "a\ns = aten.cos.default(a)\nreturn s"
    before, after = (
        program(BRANCH, subgraphs={"c[1]": first, "c[2]": second}) for first, second in ((one, other), (other, one))
    )
    assert [each.place for each in findings(before, after)] == ["c[1].s", "c[2].s"]


def test_a_subgraph_that_is_not_there_is_dropped(findings):
    inner = {"c[1]": "a\nreturn a", "c[2]": "a\nreturn a"}
    before, after = program(BRANCH, subgraphs=inner), program(BRANCH, subgraphs={"c[1]": "a\nreturn a"})
    assert summary(findings(before, after)) == [("c[2]", "subgraph dropped", "a subgraph", "none")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x\na = aten.sin.default(b)\nb = aten.cos.default(x)\nreturn a", ("a", "use before definition")),
        ("x\na = aten.sin.default(x)\na = aten.sin.default(x)\nreturn a", ("a", "name")),
        ("x\na = aten.sin.default(x)\ny\nreturn a", ("y", "order")),
        ("x\na = aten.sin.default(x)", ("the graph", "order")),
    ],
)
def test_a_capture_is_judged_by_itself(findings, text, expected):
    assert [(each.place, kind_of(each)) for each in findings(ADD, text, stage="strict")] == [expected]


def test_a_capture_calls_no_modules(findings):
    call = NodeRecord(name="m", op="call_module", target="layer", args=(NodeRef("m"),), kwargs={})
    found = findings(ADD, program(ADD, graphs={"": GraphRecord("", (call,))}), stage="strict")
    assert "op" in {kind_of(each) for each in found}


def test_a_message_quotes_the_name_that_a_node_has_now(findings):
    text = "x\nt = aten.gt.Scalar(x, 1)\na = aten._assert_scalar.default(t, \"failed on node 't'\")\nreturn t"
    after = (
        text.replace("\nt =", "\ngt =").replace("(t,", "(gt,").replace("'t'", "'gt'").replace("return t", "return gt")
    )
    assert [kind_of(each) for each in findings(text, after)] == ["name"]
