"""What an edge may lose, and what a repo says of that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_exportcheck.errors import SelectionError
from pytest_exportcheck.policy import METADATA, TOLERATED, Overrides, fields_for, tolerated
from pytest_exportcheck.policy.contract import JUDGED, JUDGED_AT
from pytest_exportcheck.records import FIELDS, Finding

OFFSET = Finding(check="val", place="add", change="changed", key="storage_offset", expected="0", actual="4")


def verdict(finding, stage="serdes", *, allow=(), forbid=()):
    (found,) = tolerated([finding], stage, Overrides.of(allow, forbid))
    return found.verdict


def test_what_the_table_names_is_tolerated():
    assert verdict(OFFSET) == "tolerated"


def test_what_the_table_does_not_name_is_broken():
    assert verdict(replace(OFFSET, key="stride")) == "broken"


def test_a_field_of_several_words_has_underscores():
    finding = Finding(check="module_calls", place="act", change="dropped", key="stateless", expected="a", actual="b")
    assert finding.name == "module_calls.stateless_dropped"
    assert (verdict(finding, "retrace"), verdict(finding, "serdes")) == ("tolerated", "broken")


@pytest.mark.parametrize(
    ("stage", "expected"), [("strict", "tolerated"), ("strict_postdispatch", "tolerated"), ("retrace", "broken")]
)
def test_a_row_is_about_a_column_of_stages(stage, expected):
    finding = Finding(check="constraints", place="x", change="widened", expected="a", actual="b")
    assert verdict(finding, stage) == expected


def test_interop_may_lose_what_serdes_may():
    finding = Finding(check="nodes", place="x", change="added", key="unused_result", expected="a", actual="b")
    assert verdict(finding, "interop") == "tolerated"


def test_a_repo_may_allow_what_is_broken():
    assert verdict(replace(OFFSET, key="stride"), allow=["val.stride"]) == "tolerated"


def test_a_repo_may_forbid_what_is_tolerated():
    assert verdict(OFFSET, forbid=["val.*"]) == "broken"


def test_what_is_allowed_and_forbidden_is_forbidden():
    assert verdict(OFFSET, allow=["val.*"], forbid=["val.storage_offset"]) == "broken"


@pytest.mark.parametrize(
    ("word", "stage", "expected"),
    [
        ("serdes:val.*", "serdes", "broken"),
        ("serdes:val.*", "interop", "broken"),
        ("interop:val.*", "serdes", "tolerated"),
        ("capture:val.*", "strict", "broken"),
        ("strict*:val.*", "nonstrict", "tolerated"),
        ("*:val.*", "retrace", "broken"),
    ],
)
def test_a_word_may_be_about_a_stage_or_a_column(word, stage, expected):
    assert verdict(OFFSET, stage, forbid=[word]) == expected


def test_a_verdict_of_before_stays():
    assert verdict(replace(OFFSET, key="stride", verdict="known")) == "known"


@pytest.mark.parametrize("word", ["stride", "vall.stride", "", "serdes:stride"])
def test_a_word_that_names_no_field_says_what_to_write(word):
    with pytest.raises(SelectionError) as error:
        Overrides.of([word], [])
    assert str(error.value) == (
        f"{word!r} names no field. Write check.field or stage:check.field, such as serdes:metadata.custom. "
        f"Checks: {', '.join(JUDGED)}."
    )


def test_a_word_that_names_no_stage_says_which_there_are():
    with pytest.raises(SelectionError) as error:
        Overrides.of([], ["save:val.stride"])
    assert str(error.value) == (
        "'save:val.stride' names no stage. Stages: nonstrict, strict, nonstrict_postdispatch, strict_postdispatch, "
        "interop, reload, aoti, onnx, executorch, executorch_xnnpack, openvino, capture, postdispatch, decompose, serdes, retrace, unflatten, reloaded, compiled, fuzz, agree."
    )


@pytest.mark.parametrize(("stage", "column"), [("retrace", "retrace"), ("strict", "capture"), ("interop", "serdes")])
def test_the_levels_of_a_stage_are_those_of_its_column(stage, column):
    assert fields_for(stage) == {key: row[column] for key, row in METADATA.items() if column in row}


def test_a_key_that_may_be_lost_is_not_judged():
    fields = fields_for("serdes", Overrides.of(["metadata.custom"], []))
    assert fields == {key: level for key, level in fields_for("serdes").items() if key != "custom"}


@pytest.mark.parametrize(("stage", "level"), [("serdes", "equal"), ("decompose", "kept"), ("retrace", "equal")])
def test_a_key_that_must_not_be_lost_is_judged_strictly(stage, level):
    assert fields_for(stage, Overrides.of([], ["metadata.seq_nr"]))["seq_nr"] == level


def test_a_key_of_a_level_keeps_it_when_it_is_forbidden_too():
    assert fields_for("retrace", Overrides.of([], ["metadata.nn_module_stack"])) == fields_for("retrace")


def test_a_key_of_another_stage_is_left_alone():
    assert fields_for("retrace", Overrides.of([], ["serdes:metadata.seq_nr"])) == fields_for("retrace")


def test_what_is_allowed_for_all_keys_and_forbidden_for_one_is_judged():
    assert list(fields_for("serdes", Overrides.of(["metadata.*"], ["metadata.custom"]))) == ["custom"]


def test_a_pattern_of_keys_that_must_not_be_lost_forbids_those_of_the_table():
    assert set(fields_for("retrace", Overrides.of([], ["metadata.*"]))) >= set(METADATA)


@pytest.mark.parametrize("row", TOLERATED, ids=lambda row: " ".join([*row.names[:1], *row.columns]))
def test_a_row_is_about_findings_and_columns_that_exist(row):
    assert row.check in JUDGED
    assert set(row.columns) <= set(JUDGED_AT)
    assert row.names
    assert set(row.keys) <= {key for _, key in FIELDS[row.check]}


@pytest.mark.parametrize(
    ("path", "expected"),
    [(("strict_postdispatch", "serdes"), "tolerated"), (("strict", "serdes"), "broken"), ((), "broken")],
)
def test_what_an_inference_program_may_lose_is_tolerated_after_it_too(path, expected):
    finding = Finding(check="gradients", place="w", change="changed", key="value", expected="1", actual="2")
    assert [each.verdict for each in tolerated([finding], "serdes", path=path)] == [expected]


def test_what_a_capture_may_lose_only_there_is_not_inherited():
    finding = Finding(check="constraints", place="x", change="widened", expected="1", actual="2")
    assert [each.verdict for each in tolerated([finding], "serdes", path=("strict", "serdes"))] == ["broken"]
