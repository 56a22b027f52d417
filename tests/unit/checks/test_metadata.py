"""What a finding about the metadata of a node says."""

from __future__ import annotations

import pytest

from pytest_exportcheck.checks import metadata
from pytest_exportcheck.policy import Overrides, fields_for
from pytest_exportcheck.records import Cause, Finding
from pytest_exportcheck.reports.wording import detail_of, kind_of
from tests.unit.records_of import program, record, summary

ADD = "x\nadd = aten.add.Tensor(x, 1)\nreturn add"
HERE = __file__
TRACE = '  File "gone.py", line 4, in forward\n    return x + 1'
STACK = (("L__self__", "", "net.Net"), ("L__self___layer", "layer", "net.Layer"))
SOUND = {"stack_trace": TRACE, "nn_module_stack": STACK, "torch_fn": ("add", "function.add")}


@pytest.fixture
def findings(evidence):
    """Findings where ``add`` has this metadata before and after."""

    def make(before, after, *, node="add", **options):
        programs = [program(ADD, meta={node: meta}, **options.pop("fields_of", {})) for meta in (before, after)]
        return metadata.check(evidence(*map(record, programs), **options))

    return make


def test_equal_metadata_is_no_finding(findings):
    assert findings(SOUND, SOUND) == []


def test_the_order_of_keys_means_nothing(findings):
    assert findings(SOUND, dict(reversed(SOUND.items()))) == []


def test_a_key_that_is_dropped_says_what_it_was(findings):
    assert findings({"torch_fn": ("add", "f.add")}, {}) == [
        Finding(
            check="metadata",
            place="add",
            change="dropped",
            key="torch_fn",
            expected="(add, f.add)",
            actual="none",
            causes=(Cause("node", "aten.add.Tensor"),),
        )
    ]


def test_a_key_that_is_gained_is_a_finding_where_all_must_be_equal(findings):
    assert summary(findings({}, {"torch_fn": ("add", "f.add")})) == [("add", "torch_fn gained", "none", "(add, f.add)")]


def test_a_changed_trace_shows_the_lines_that_differ(findings):
    (finding,) = findings({"stack_trace": TRACE}, {"stack_trace": TRACE.replace("4", "5")})
    assert summary([finding]) == [
        (
            "add",
            "stack_trace changed",
            '  File "gone.py", line 4, in forward\n...',
            '  File "gone.py", line 5, in forward\n...',
        )
    ]
    assert finding.line == "gone.py:4 in forward: return x + 1"


@pytest.mark.parametrize("key", ["seq_nr", "tensor_meta", "original_aten", "a key of the user's"])
def test_a_key_that_no_table_names_is_not_judged(findings, key):
    assert findings({key: 1}, {}) == []


def test_a_repo_may_forbid_to_lose_a_key(findings):
    fields = fields_for("serdes", Overrides.of((), ("metadata.seq_nr",)))
    assert [kind_of(each) for each in findings({"seq_nr": 1}, {}, fields=fields)] == ["seq_nr dropped"]


def test_a_repo_may_allow_to_lose_a_key(findings):
    fields = fields_for("serdes", Overrides.of(("serdes:metadata.torch_fn",), ()))
    assert findings({"torch_fn": ("a", "b")}, {}, fields=fields) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [({"a": 1}, {"a": 1.0}), ({"a": 1}, {"a": True}), ({"a": 1}, {"a": 2}), ({"a": 0.0}, {"a": -0.0}),
     ({"a": 1}, {}), ({"a": [1, 2]}, {"a": [2, 1]}), ({"a": None}, {}), ({"a": "1"}, {"a": 1})],
)  # fmt: skip
def test_custom_metadata_is_compared_exactly(findings, before, after):
    assert [kind_of(each) for each in findings({"custom": before}, {"custom": after})] == ["custom changed"]


def test_nan_in_custom_metadata_is_equal_to_nan(findings):
    """Metadata that was saved and loaded holds another nan object."""
    assert findings({"custom": {"a": float("nan")}}, {"custom": {"a": float("nan")}}) == []


@pytest.mark.parametrize(("before", "after"), [({"a": (1, 2)}, {"a": [1, 2]}), ({1: 2}, {"1": 2})])
def test_custom_metadata_that_became_json_is_told_apart(findings, before, after):
    assert [kind_of(each) for each in findings({"custom": before}, {"custom": after})] == ["custom turned into JSON"]


def test_custom_metadata_of_other_values_did_not_become_json(findings):
    assert [kind_of(each) for each in findings({"custom": {"a": (1, 2)}}, {"custom": {"a": [1, 3]}})] == [
        "custom changed"
    ]


def test_custom_metadata_of_a_placeholder_is_a_field_of_its_own(findings):
    (finding,) = findings({"custom": {"a": 1}}, {}, node="x")
    assert (kind_of(finding), finding.field) == ("custom dropped", "placeholder.custom")


def test_other_metadata_of_placeholders_is_not_judged(findings):
    assert findings({"stack_trace": TRACE}, {}, node="x") == []


def test_a_retrace_keeps_paths_and_types(findings):
    keys_differ = tuple(("other", path, kind) for _, path, kind in STACK)
    assert findings({"nn_module_stack": STACK}, {"nn_module_stack": keys_differ}, stage="retrace") == []
    (finding,) = findings({"nn_module_stack": STACK}, {"nn_module_stack": STACK[:1]}, stage="retrace")
    assert kind_of(finding) == "nn_module_stack changed"


def test_a_module_stack_of_another_type_is_compared_without_a_crash(findings):
    found = findings({"nn_module_stack": STACK}, {"nn_module_stack": "None"}, stage="retrace")
    assert [kind_of(each) for each in found] == ["nn_module_stack changed"]


def test_an_empty_module_stack_says_the_same_as_none(findings):
    for before, after in (({}, {"nn_module_stack": ()}), ({"nn_module_stack": ()}, {})):
        assert findings(before, after) == []
    (finding,) = findings({"nn_module_stack": STACK}, {"nn_module_stack": ()})
    assert kind_of(finding) == "nn_module_stack dropped"


SPLIT = "x\ns = {}(x)\na = _operator.getitem(s, 0)\nreturn a"


@pytest.mark.parametrize(
    ("target", "detail"),
    [("aten.split.Tensor", "a result of aten.split.Tensor"), ("cond", "a result of the higher-order operator cond")],
)
def test_a_finding_about_one_of_several_results_says_of_what(evidence, target, detail):
    programs = [program(SPLIT.format(target), meta={"a": meta}) for meta in ({"torch_fn": ("a", "b")}, {})]
    (finding,) = metadata.check(evidence(*map(record, programs)))
    assert detail_of(finding) == detail


def decomposed(meta, before=SOUND):
    """``linear``, and the ``mm`` that lowering made from it."""
    ours = program("x\nlinear = aten.linear.default(x)\nreturn linear", meta={"linear": before})
    theirs = program("x\nmm = aten.mm.default(x)\nreturn mm", meta={"mm": meta}, origins={"mm": "linear"})
    return record(ours), record(theirs)


def test_lowering_keeps_where_an_operation_is_from(evidence):
    assert metadata.check(evidence(*decomposed(SOUND), stage="decompose")) == []


def test_lowering_that_drops_a_trace_says_of_which_node(evidence):
    (finding,) = metadata.check(evidence(*decomposed({**SOUND, "stack_trace": ""}), stage="decompose"))
    assert (finding.place, kind_of(finding), finding.detail) == ("mm", "stack_trace changed", "made from linear")


def test_lowering_may_add_annotations(evidence):
    pair = decomposed({**SOUND, "custom": {"a": 1, "b": 2}}, {**SOUND, "custom": {"a": 1}})
    assert metadata.check(evidence(*pair, stage="decompose")) == []


def test_a_node_that_lowering_made_from_none_needs_a_trace(evidence):
    ours, theirs = program(ADD, meta={"add": SOUND}), program("x\nmm = aten.mm.default(x)\nreturn mm")
    found = metadata.check(evidence(record(ours), record(theirs), stage="decompose"))
    assert summary(found) == [
        ("mm", "stack_trace missing", "the lines of code that called this operation", "none"),
        ("mm", "nn_module_stack missing", "the modules whose forward called this operation", "none"),
    ]


def test_a_node_that_lowering_made_from_none_has_a_module_stack_of_before(evidence):
    strange = {**SOUND, "nn_module_stack": {"L__self__": ("elsewhere", "Net")}}
    ours = program(ADD, meta={"add": SOUND})
    theirs = program("x\nmm = aten.mm.default(x)\nreturn mm", meta={"mm": strange})
    found = metadata.check(evidence(record(ours), record(theirs), stage="decompose"))
    assert [(each.place, kind_of(each)) for each in found] == [("mm", "nn_module_stack wrong")]


def test_a_copy_that_lowering_makes_of_a_mutated_input_needs_no_trace(evidence):
    ours, theirs = program(ADD, meta={"add": SOUND}), program("x\nc = aten.copy.default(x)\nreturn c")
    assert metadata.check(evidence(record(ours), record(theirs), stage="decompose")) == []


@pytest.mark.parametrize(("target", "found"), [("aten.view.default", 0), ("aten.mm.default", 1)])
def test_a_view_that_is_made_again_where_it_is_used_keeps_its_own_line(evidence, target, found):
    """Functionalisation makes views of what was mutated again; their line is that of an operation that they feed."""
    flat, linear = {"stack_trace": TRACE}, {"stack_trace": TRACE.replace("x + 1", "linear(x)")}
    ours = program(
        "x\nflatten = aten.flatten.using_ints(x, 1)\nlinear = aten.linear.default(flatten)\nreturn linear",
        meta={"flatten": flat, "linear": linear},
    )
    theirs = program(
        f"x\nview_1 = {target}(x)\nmm = aten.mm.default(view_1)\nreturn mm",
        meta={"view_1": flat, "mm": linear},
        origins={"view_1": "linear", "mm": "linear"},
    )
    given = evidence(record(ours), record(theirs), stage="decompose")
    assert len(metadata.check(given)) == found
