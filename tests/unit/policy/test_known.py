"""Rows of the known defects, and the findings that they explain."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from packaging.specifiers import SpecifierSet

from pytest_exportcheck.policy import KNOWN, KnownDefect, judge
from pytest_exportcheck.policy.contract import JUDGED
from pytest_exportcheck.policy.known_defects.match import judge_by
from pytest_exportcheck.policy.known_defects.row import POSTDISPATCH, STRICT, Because, Names, because, beginning, named
from pytest_exportcheck.records import CallSite, Cause, Finding, KnownAs, Raised

FINDING = Finding(check="state", place="twin", change="dropped", key="tied_name", expected="a", actual="b")
ROW = KnownDefect(
    id="row", title="a defect", issue="https://issues/1", torch=">=2.13,<2.15", check="state", changes=("dropped",)
)


def verdicts(*findings, rows=(ROW,), **place):
    where = {"engine": "torch", "stages": ("strict", "serdes"), "torch_version": "2.14.1", **place}
    return judge_by(rows, findings, **where)


def verdict(finding=FINDING, row=ROW, **place):
    """The verdict on a finding, with one row in the table."""
    (found,) = verdicts(finding, rows=(row,), **place)
    return found.verdict


def with_field(**changed):
    return replace(FINDING, **changed)


def narrowed(**changed):
    return replace(ROW, **changed)


def test_a_finding_that_a_row_explains_is_known_by_its_id_title_and_issue():
    known = KnownAs("row", "a defect", "https://issues/1")
    assert verdicts(FINDING) == [with_field(verdict="known", known=known)]


@pytest.mark.parametrize("version", ["2.13.0", "2.14.1", "2.14.0+cpu", "2.14.2.dev20261001"])
def test_a_row_holds_in_its_versions_of_torch(version):
    assert verdict(torch_version=version) == "known"


@pytest.mark.parametrize("version", ["2.12.1", "2.15.0.dev20261001", "2.15.0"])
def test_and_in_no_other(version):
    assert verdicts(FINDING, torch_version=version) == [FINDING]


@pytest.mark.parametrize("field", [{"check": "outputs"}, {"change": "added"}])
def test_a_row_explains_only_its_check_and_change(field):
    assert verdict(with_field(**field)) == "broken"


def test_a_row_is_about_the_torch_engine_unless_it_says_otherwise():
    assert verdict(engine="mine") == "broken"
    assert verdict(row=narrowed(engines=()), engine="mine") == "known"


@pytest.mark.parametrize(
    ("runtime", "expected"),
    [("pytest>=1", "known"), ("pytest<1", "broken"), ("no-such-distribution>=1", "broken")],
)
def test_a_row_of_a_runtime_holds_in_its_installed_versions(runtime, expected):
    assert verdict(row=narrowed(runtime=runtime)) == expected


@pytest.mark.parametrize(
    ("narrow", "there", "elsewhere"),
    [
        ({"stages": ("serdes",)}, "strict-retrace-serdes", "strict-serdes-retrace"),
        ({"stages": ("serdes",)}, "strict-interop", "strict"),
        ({"stages": POSTDISPATCH}, "strict_postdispatch", "strict_postdispatch-serdes"),
        ({"captures": STRICT}, "strict_postdispatch-serdes", "nonstrict-serdes"),
        ({"after": ("unflatten",)}, "strict-unflatten-fuzz", "strict-fuzz"),
        ({"loaded": True}, "strict-serdes-retrace-decompose", "strict-decompose-serdes"),
        ({"loaded": True}, "strict-interop-decompose", "strict-retrace-decompose"),
    ],
)
def test_a_row_may_be_narrowed_to_stages_and_what_came_before(narrow, there, elsewhere):
    assert verdict(row=narrowed(**narrow), stages=tuple(there.split("-"))) == "known"
    assert verdict(row=narrowed(**narrow), stages=tuple(elsewhere.split("-"))) == "broken"


@pytest.mark.parametrize(
    ("narrow", "field"),
    [
        ({"keys": ("",)}, {"key": ""}),
        ({"subjects": ("buffer",)}, {"subject": "buffer"}),
        ({"expected": ("float16", "bfloat16")}, {"expected": "bfloat16"}),
        ({"actual": ("()",)}, {"actual": "()"}),
        ({"causes": (because("region"),)}, {"causes": (Cause("region", "cond"),)}),
        ({"causes": (because("region", "cond"),)}, {"causes": (Cause("root_missing"), Cause("region", "cond"))}),
        (
            {"causes": (Because(("node",), beginning("aten.conv")),)},
            {"causes": (Cause("node", "aten.conv3d.default"),)},
        ),
        ({"error_type": "ValueError"}, {"error": Raised("ValueError", "no")}),
        ({"error_contains": ("one", "two")}, {"error": Raised("ValueError", "two and one")}),
        ({"error_function": "load"}, {"error": Raised("ValueError", "no", function="load")}),
        ({"logged_contains": "parts"}, {"error": Raised("ValueError", "no", logged=("3 parts",))}),
    ],
)
def test_a_row_may_be_narrowed_to_exact_fields(narrow, field):
    assert verdict(row=narrowed(**narrow)) == "broken"
    assert verdict(with_field(**field), row=narrowed(**narrow)) == "known"


@pytest.mark.parametrize(
    ("narrow", "field"),
    [
        ({"expected": ("float16",)}, {"expected": "bfloat16"}),
        ({"causes": (because("region", "cond"),)}, {"causes": (Cause("region", "condition"),)}),
        ({"causes": (because("region"), because("node"))}, {"causes": (Cause("region", "cond"),)}),
        ({"error_contains": ("one", "two")}, {"error": Raised("ValueError", "two")}),
        ({"error_type": "ValueError"}, {"error": Raised("torch.ValueError", "no")}),
    ],
)
def test_a_part_of_a_field_is_not_enough(narrow, field):
    assert verdict(with_field(**field), row=narrowed(**narrow)) == "broken"


@pytest.mark.parametrize(
    ("names", "name", "there"),
    [
        (Names(), "anything", True),
        (named("aten.add.Tensor"), "aten.add.Tensor", True),
        (named("aten.add.Tensor"), "aten.add.Tensor_mode", False),
        (beginning("aten.add."), "aten.add.Tensor", True),
        (beginning("aten.add."), "aten.addmm.default", False),
    ],
)
def test_names_are_exact_or_begin_alike(names, name, there):
    assert names.has(name) is there


def test_a_row_may_ask_for_an_operator():
    row = narrowed(operators=beginning("aten.detach."))
    assert verdict(row=row) == "broken"
    assert verdict(row=row, operators={"aten.add.Tensor", "aten.detach.default"}) == "known"


TOGETHER = KnownDefect(id="together", title="what follows", issue="", torch="", check="effects", together_with="row")


@pytest.mark.parametrize(("first", "expected"), [("state", "known"), ("outputs", "broken")])
def test_a_row_may_need_another_that_explains_a_finding_of_the_same_item(first, expected):
    found = verdicts(with_field(check="effects"), with_field(check=first), rows=(TOGETHER, ROW))
    assert found[0].verdict == expected


@pytest.mark.parametrize("before", ["tolerated", "known"])
def test_what_is_tolerated_or_known_stays_so(before):
    finding = with_field(verdict=before, known=KnownAs("before", "another defect"))
    assert verdicts(finding) == [finding]


@pytest.mark.parametrize(("before", "after"), [("tolerated", "tolerated"), ("broken", "known")])
def test_what_is_tolerated_names_the_row_that_explains_it_and_stays_tolerated(before, after):
    (found,) = verdicts(with_field(verdict=before))
    assert (found.verdict, found.known_as) == (after, "row")


@pytest.mark.parametrize(
    ("operators", "expected"),
    [
        (None, "known"),
        (("aten.mul.Tensor", "aten.sum.default"), "known"),
        (("aten.mul.Tensor",), "broken"),
        ((), "broken"),
    ],
)
def test_a_row_about_an_operator_explains_what_the_finding_says_is_about_it(operators, expected):
    row = narrowed(operators=named("aten.sum.default"))
    assert verdict(with_field(operators=operators), row=row, operators={"aten.sum.default"}) == expected


def test_rows_have_ids_of_their_own_and_readable_versions():
    assert len({row.id for row in KNOWN}) == len(KNOWN)
    assert all(SpecifierSet(row.torch) for row in KNOWN)


def test_rows_match_exactly():
    texts = [value for row in KNOWN for each in fields(row) for value in _texts(getattr(row, each.name))]
    assert [text for text in texts if "*" in text and "**kwargs" not in text] == []


def _texts(value):
    if isinstance(value, str):
        return [value]
    return [each for each in value if isinstance(each, str)] if isinstance(value, tuple) else []


def test_a_row_that_needs_another_names_one_that_exists():
    assert {row.together_with for row in KNOWN if row.together_with} <= {
        row.id for row in KNOWN if not row.together_with
    }


def test_rows_are_about_checks_that_exist_or_the_stage_itself():
    assert {row.check for row in KNOWN} <= {*JUDGED, "stage"}


def at(**sizes):
    return CallSite(", ".join(f"{name}={size}" for name, size in sizes.items()), tuple(sizes.items()))


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        ((at(batch=1),), "known"),
        ((at(batch=0, length=9),), "known"),
        ((at(length=9, batch=1),), "known"),
        ((CallSite("args[0].size(0)=1", (("args[0].size(0)", 1),)),), "known"),
        ((at(batch=9), at(batch=1)), "known"),
        ((at(batch=10),), "broken"),
        ((at(batch=21),), "broken"),
        ((CallSite("the example inputs"),), "broken"),
        ((), "broken"),
    ],
)
def test_a_row_may_be_narrowed_to_sizes_of_the_calls_that_showed_it(on, expected):
    assert verdict(with_field(on=on), row=narrowed(sizes=(0, 1))) == expected


def test_a_row_about_no_calls_is_about_all():
    assert verdict(with_field(on=(at(batch=9),))) == "known"


GUARD = Raised("AssertionError", "Guard failed: x")


@pytest.mark.parametrize(
    ("change", "key", "error", "on", "expected"),
    [
        ("narrowed", "", GUARD, at(batch=1), "guards-refuse-zero-and-one"),
        ("narrowed", "", GUARD, at(batch=3), ""),
        ("narrowed", "", Raised("ValueError", "x"), at(batch=1), ""),
        ("accepted", "and_computed_otherwise", None, at(batch=0), "lower-bounds-up-to-two-dropped"),
        ("accepted", "and_computed_otherwise", None, at(batch=61), ""),
        ("widened", "", None, at(batch=0), ""),
        ("unguarded", "and_computed_otherwise", None, at(batch=0), ""),
    ],
)
def test_rows_about_sizes_explain_zero_and_one_alone(change, key, error, on, expected):
    finding = Finding(
        check="sizes", place="batch", change=change, key=key, expected="", actual="", error=error, on=(on,)
    )
    for version in ("2.13.0", "2.14.1"):
        assert known_as("nonstrict-serdes-fuzz", finding, version) == expected


def known_as(mode, finding, torch_version="2.14.1"):
    """The id of the row that explains a finding."""
    (found,) = judge([finding], engine="torch", stages=tuple(mode.split("-")), torch_version=torch_version)
    return found.known_as


def raised(error, *causes, check="stage"):
    return Finding(check=check, place="p", change="raised", expected="e", actual=str(error), error=error, causes=causes)


IN_TORCH = Raised(
    "IndexError", "list index out of range", inside="torch/export/_trace.py:2239", function="set_missing_meta_vals"
)
IN_MODEL = Raised("IndexError", "list index out of range", where="net.py:3 in forward: k[0]")
HOLDS = Cause("subclass_state", "weight (Scaled)")


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        (raised(IN_TORCH, HOLDS), "subclass-weights-below-autograd"),
        (raised(IN_MODEL, HOLDS), ""),
        (raised(replace(IN_TORCH, function=""), HOLDS), ""),
        (raised(IN_TORCH), ""),
    ],
    ids=["the defect", "a line of the model", "not torch", "no subclass"],
)
def test_an_index_error_below_autograd_is_known_of_subclasses_alone(finding, expected):
    assert known_as("nonstrict_postdispatch", finding) == expected


LEAVES = Raised(
    "ValueError",
    "treespec.unflatten(leaves): `leaves` has length 3 but the spec refers to a pytree that holds 1 items (*).",
)


@pytest.mark.parametrize(
    ("mode", "causes", "expected"),
    [
        ("nonstrict-unflatten", (Cause("root_missing"),), "unflatten-graph-module"),
        ("nonstrict-unflatten", (), ""),
        ("nonstrict-decompose", (Cause("subclass_output", "output (TwoTensor)"),), "lowered-subclass-output"),
        ("nonstrict-decompose", (), ""),
    ],
)
def test_a_wrong_number_of_leaves_is_known_where_its_cause_is_there(mode, causes, expected):
    assert known_as(mode, raised(LEAVES, *causes, check="outputs")) == expected


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("decompose", "attention-lowered-view"),
        ("onnx", "attention-lowered-view"),
        ("executorch_xnnpack", "attention-lowered-view"),
        ("openvino", ""),
    ],
)
def test_a_view_of_lowered_attention_is_known_where_a_runtime_lowers_it_too(stage, expected):
    error = Raised("ValueError", "Cannot view a tensor with shape torch.Size([2, 8, 32]) and strides (32, 64, 1)")
    attention = ("aten.scaled_dot_product_attention.default",)
    (found,) = judge(
        [raised(error)], engine="torch", stages=("nonstrict", stage), torch_version="2.14.1", operators=attention
    )
    assert found.known_as == expected


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("attribute", "postdispatch-leaves-tracing-tensors"),
        ("attribute_entry", "attribute-mutated-by-capture"),
        ("buffer", ""),
        ("parameter", ""),
    ],
)
def test_a_tracing_tensor_that_a_capture_leaves_is_known_in_attributes_alone(subject, expected):
    finding = Finding(
        check="stage",
        place="module weight",
        change="edited",
        key="value",
        subject=subject,
        expected="unchanged by the capture",
        actual="changed to a FunctionalTensor",
        causes=(Cause("tracing_tensor", "FunctionalTensor"), Cause("attribute", "weight")),
    )
    assert known_as("nonstrict_postdispatch", finding) == expected
