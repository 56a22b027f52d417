"""How few findings there are of one node more or less, or elsewhere, and what a retrace may change."""

from __future__ import annotations

import itertools

import pytest

from pytest_exportcheck.checks import nodes
from pytest_exportcheck.policy import tolerated
from pytest_exportcheck.records import SignatureRecord
from pytest_exportcheck.reports.wording import kind_of
from tests.unit.records_of import program, record, signature_of, spec, summary

ADD = "x\nadd = aten.add.Tensor(x, 1)\nreturn add"


@pytest.fixture
def findings(evidence):
    def make(before, after, *, stage="serdes"):
        before, after = (program(each) if isinstance(each, str) else each for each in (before, after))
        return nodes.check(evidence(record(before), record(after), stage=stage))

    return make


def chain(count, name="add"):
    names = ["x", *(f"{name}_{number}" if number else name for number in range(count))]
    lines = [f"{name} = aten.add.Tensor({given}, 1)" for given, name in itertools.pairwise(names)]
    return "\n".join(["x", *lines, f"return {names[-1]}"])


def test_another_target_is_one_finding(findings):
    found = findings(chain(5), chain(5).replace("add_2 = aten.add", "add_2 = aten.sub"))
    assert summary(found) == [("add_2", "target", "aten.add.Tensor(%add_1, 1)", "aten.sub.Tensor(%add_1, 1)")]


def test_another_source_is_one_finding(findings):
    found = findings(chain(5), chain(5).replace("add_3 = aten.add.Tensor(add_2", "add_3 = aten.add.Tensor(add_1"))
    assert summary(found) == [("add_3", "args", "argument 1: %add_2", "argument 1: %add_1")]


@pytest.mark.parametrize("stage", ["serdes", "retrace"])
def test_an_inserted_node_in_a_chain_is_very_few_findings(findings, stage):
    found = findings(chain(20), chain(21), stage=stage)
    assert "added" in {kind_of(each) for each in found}
    assert len(found) <= 2


@pytest.mark.parametrize("stage", ["serdes", "retrace"])
def test_a_dropped_node_in_a_chain_is_very_few_findings(findings, stage):
    found = findings(chain(21), chain(20), stage=stage)
    assert "dropped" in {kind_of(each) for each in found}
    assert len(found) <= 2


ALTERNATING = """
    x
    add = aten.add.Tensor(x, 1)
    mul = aten.mul.Tensor(add, 2)
    add_1 = aten.add.Tensor(mul, 1)
    mul_1 = aten.mul.Tensor(add_1, 2)
    add_2 = aten.add.Tensor(mul_1, 1)
    mul_2 = aten.mul.Tensor(add_2, 2)
    add_3 = aten.add.Tensor(mul_2, 1)
    mul_3 = aten.mul.Tensor(add_3, 2)
    return mul_3
"""
INSERTED = """
    x
    add = aten.add.Tensor(x, 1)
    add_1 = aten.add.Tensor(add, 1)
    mul = aten.mul.Tensor(add_1, 2)
    add_2 = aten.add.Tensor(mul, 1)
    mul_1 = aten.mul.Tensor(add_2, 2)
    add_3 = aten.add.Tensor(mul_1, 1)
    mul_2 = aten.mul.Tensor(add_3, 2)
    add_4 = aten.add.Tensor(mul_2, 1)
    mul_3 = aten.mul.Tensor(add_4, 2)
    return mul_3
"""


@pytest.mark.parametrize("stage", ["serdes", "retrace"])
@pytest.mark.parametrize(("before", "after"), [(ALTERNATING, INSERTED), (INSERTED, ALTERNATING)])
def test_a_node_more_or_less_among_alternating_operations_is_very_few_findings(findings, before, after, stage):
    found = findings(before, after, stage=stage)
    assert {"added", "dropped"} & {kind_of(each) for each in found}
    assert len(found) <= 3


def test_two_operations_dropped_and_one_of_them_added_elsewhere_is_no_crash(findings):
    before = "x\na = f.a(x)\nb = f.a(a)\nc = f.c(b)\nd = f.d(c)\ne = f.e(d)\nreturn e"
    after = "x\nc = f.c(x)\nd = f.d(c)\ne = f.e(d)\na = f.a(e)\nreturn a"
    assert [kind_of(each) for each in findings(before, after, stage="retrace")] == ["dropped", "order"]


def test_names_that_shifted_are_one_finding(findings):
    found = findings(chain(4), chain(4, "plus"))
    assert [(*summary([each])[0], each.detail) for each in found] == [
        ("add", "name", "add", "plus", "and 3 more nodes after it")
    ]


@pytest.mark.parametrize(("before", "after"), [("1", "2"), ("'mean'", "'sum'"), ("[1, 2]", "[2, 1]")])
def test_a_retrace_keeps_plain_arguments(findings, before, after):
    found = findings(ADD.replace("1", before), ADD.replace("1", after), stage="retrace")
    assert [kind_of(each) for each in found] == ["args"]


def test_an_operation_elsewhere_in_the_order_is_one_finding(findings):
    before = "x\na = aten.sin.default(x)\nb = aten.cos.default(x)\nreturn a, b"
    after = "x\nb = aten.cos.default(x)\na = aten.sin.default(x)\nreturn a, b"
    assert [kind_of(each) for each in findings(before, after, stage="retrace")] == ["order"]


def test_a_retrace_may_fill_in_defaults(findings):
    assert findings(ADD, ADD.replace("1", "1, alpha=1"), stage="retrace") == []


NORM = """
    x
    n = aten.var_mean.correction(x)
    a = _operator.getitem(n, {first})
    s = aten.sin.default(a)
    return s
"""
RESULTS = """
    x
    n = aten.var_mean.correction(x)
    a = _operator.getitem(n, 0)
    b = _operator.getitem(n, 1)
    c = _operator.getitem(n, 2)
    s = aten.sin.default({used})
    return s
"""


@pytest.mark.parametrize(("first", "used"), [(0, "a"), (1, "b"), (2, "c")])
def test_a_retrace_may_name_results_that_nobody_uses(findings, first, used):
    found = findings(NORM.format(first=first), RESULTS.format(used=used), stage="retrace")
    assert {each.verdict for each in tolerated(found, "retrace")} <= {"tolerated"}


@pytest.mark.parametrize("copy", ["aten.copy_.default", "aten.copy.default"])
def test_a_retrace_of_a_lowered_program_writes_mutations_back_itself(findings, copy):
    """A lowered program returns the new value of a buffer; its module copies it, and so does what is traced from that."""
    plain = program("m\nx\na = aten.add.Tensor(m, x)\nreturn a, a")
    mutation = (spec("BUFFER_MUTATION", "a", "m"), spec("USER_OUTPUT", "a"))
    before = program(
        "m\nx\na = aten.add.Tensor(m, x)\nreturn a, a",
        signature=SignatureRecord(signature_of(plain.graphs[""]).inputs, mutation),
    )
    assert findings(before, f"m\nx\na = aten.add.Tensor(m, x)\nc = {copy}(m, a)\nreturn a", stage="retrace") == []


def test_a_copy_that_no_mutation_explains_is_added(findings):
    before, after = "m\nx\nreturn x", "m\nx\nc = aten.copy_.default(m, x)\nreturn x"
    assert [kind_of(each) for each in findings(before, after, stage="retrace")] == ["added"]
