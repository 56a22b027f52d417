"""What a finding about the graph signature says."""

from __future__ import annotations

import pytest
import torch

from pytest_exportcheck.checks import signature
from pytest_exportcheck.records import Finding, SignatureRecord
from tests.unit.records_of import program, record, spec, state, summary

TEXT = "p_w\nb_m\nx\ny\nadd = aten.add.Tensor(x, y)\nreturn m_new, add"
INPUTS = (
    spec("PARAMETER", "p_w", "w"),
    spec("BUFFER", "b_m", "m", persistent=True),
    spec("USER_INPUT", "x"),
    spec("USER_INPUT", "y"),
)
OUTPUTS = (spec("BUFFER_MUTATION", "m_new", "m"), spec("USER_OUTPUT", "add"))
STATE = state(("w", "parameter", torch.ones(1)), ("m", "buffer", torch.zeros(1)), ("c", "attribute", torch.ones(2)))


def changed(specs, place, **fields):
    """The specs, one of them with other fields; without it where none are given."""
    made = list(specs)
    made[place : place + 1] = [spec(**{**vars(specs[place]), **fields})] if fields else []
    return tuple(made)


def signed(inputs=INPUTS, outputs=OUTPUTS, text=TEXT):
    return record(program(text, signature=SignatureRecord(tuple(inputs), tuple(outputs))))


@pytest.fixture
def findings(evidence):
    def make(*, inputs=INPUTS, outputs=OUTPUTS, stage="serdes", text=TEXT):
        before = record(state=STATE) if stage == "strict" else signed()
        return signature.check(evidence(before, signed(inputs, outputs, text), stage=stage))

    return make


@pytest.mark.parametrize("stage", ["strict", "decompose", "serdes", "retrace"])
def test_a_signature_is_equal_to_itself(findings, stage):
    assert findings(stage=stage) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [("kind", "CONSTANT_TENSOR"), ("target", "v"), ("persistent", False), ("value", "ConstantArgument 1")],
)
def test_a_field_that_changed_is_named(findings, field, value):
    found = findings(inputs=changed(INPUTS, 1, **{field: value}))
    assert found == [
        Finding(
            check="signature",
            place="inputs: b_m",
            change="changed",
            key=field,
            expected=str(getattr(INPUTS[1], field)),
            actual=str(value),
        )
    ]


def test_a_constant_argument_of_another_value_is_found(evidence):
    pair = [signed(outputs=(OUTPUTS[0], spec("USER_OUTPUT", "", value=f"ConstantArgument {n}"))) for n in ("1", "1.0")]
    found = signature.check(evidence(*pair))
    assert [each for each in summary(found) if each[1] == "value"] == [
        ("outputs: ConstantArgument 1", "value", "ConstantArgument 1", "ConstantArgument 1.0")
    ]


def test_a_spec_that_is_gone_is_dropped(findings):
    text = TEXT.replace("p_w\n", "")
    assert summary(findings(inputs=INPUTS[1:], text=text)) == [
        ("inputs: p_w", "dropped", "PARAMETER p_w of w", "no such spec"),
    ]


def test_a_spec_that_is_new_is_added(findings):
    more = (*INPUTS, spec("USER_INPUT", "z"))
    assert summary(findings(inputs=more, text=TEXT.replace("y\nadd", "y\nz\nadd"))) == [
        ("inputs: z", "added", "no such spec", "USER_INPUT z"),
    ]


def test_a_parameter_of_another_name_is_one_finding(findings):
    found = findings(inputs=changed(INPUTS, 0, name="p_v"), text=TEXT.replace("p_w", "p_v"))
    assert summary(found) == [("inputs: p_w", "name", "p_w", "p_v")]


def test_two_user_inputs_that_traded_places_are_out_of_order(findings):
    swapped = (*INPUTS[:2], INPUTS[3], INPUTS[2])
    found = findings(inputs=swapped, text=TEXT.replace("x\ny", "y\nx"))
    assert [(*summary([each])[0], each.field) for each in found] == [("inputs", "order", "x, y", "y, x", "order")]


def test_state_out_of_order_is_a_field_of_its_own(findings):
    swapped = (INPUTS[1], INPUTS[0], *INPUTS[2:])
    found = findings(inputs=swapped, text=TEXT.replace("p_w\nb_m", "b_m\np_w"))
    assert [(*summary([each])[0], each.field) for each in found] == [
        ("inputs", "order", "p_w, b_m", "b_m, p_w", "state_order")
    ]


def test_persistence_of_a_constant_is_a_field_of_its_own(evidence):
    pair = [signed(changed(INPUTS, 1, kind="CONSTANT_TENSOR", persistent=flag)) for flag in (None, True)]
    assert [each.field for each in signature.check(evidence(*pair))] == ["constant_persistent"]


def test_a_mutation_of_another_target_is_found(findings):
    found = findings(outputs=changed(OUTPUTS, 0, target="other"))
    assert summary(found) == [("outputs: m_new", "target", "m", "other")]


@pytest.mark.parametrize("stage", ["strict", "decompose", "serdes", "retrace"])
def test_input_specs_are_the_placeholders(findings, stage):
    found = findings(stage=stage, text=TEXT.replace("b_m", "b_n"))
    assert ("inputs[1]", "name", "placeholder b_n", "b_m") in summary(found)


@pytest.mark.parametrize(
    ("outputs", "place", "expected", "actual"),
    [
        (OUTPUTS[:1], "outputs", "2 outputs of the graph", "1 output specs"),
        (OUTPUTS[::-1], "outputs[0]", "output m_new", "add"),
    ],
)
def test_output_specs_are_the_outputs(findings, outputs, place, expected, actual):
    found = summary(findings(stage="strict", outputs=outputs))
    assert (place, expected, actual) in [(where, left, right) for where, _, left, right in found]


def test_a_target_is_a_name_of_the_modules_state(findings):
    found = findings(stage="strict", inputs=changed(INPUTS, 0, target="gone"))
    assert summary(found) == [("p_w", "target", "a name of the module's state", "gone")]


@pytest.mark.parametrize(
    ("place", "fields", "expected"),
    [
        (0, {"kind": "BUFFER", "persistent": True}, ("p_w", "kind", "PARAMETER", "BUFFER")),
        (1, {"kind": "PARAMETER"}, ("b_m", "kind", "BUFFER", "PARAMETER")),
        (1, {"target": "c"}, ("b_m", "kind", "CONSTANT_TENSOR", "BUFFER")),
        (1, {"persistent": False}, ("b_m", "persistent", "True", "False")),
    ],
)
def test_kind_and_persistence_are_those_of_the_module(findings, place, fields, expected):
    assert summary(findings(stage="strict", inputs=changed(INPUTS, place, **fields))) == [expected]


def test_a_mutation_targets_state_of_the_module(findings):
    found = findings(stage="strict", outputs=changed(OUTPUTS, 0, target="gone"))
    assert summary(found) == [("m_new", "target", "a name of the module's state", "gone")]


def test_lowering_may_rename_outputs_and_add_mutations(findings):
    outputs = (spec("BUFFER_MUTATION", "m_new", "m"), spec("BUFFER_MUTATION", "w_new", "w"), spec("USER_OUTPUT", "mm"))
    text = TEXT.replace("return m_new, add", "return m_new, w_new, mm")
    assert findings(stage="decompose", outputs=outputs, text=text) == []


def test_lowering_keeps_the_number_of_the_users_outputs(findings):
    found = findings(stage="decompose", outputs=changed(OUTPUTS, 1, kind="LOSS_OUTPUT"))
    assert summary(found) == [("outputs", "number", "1 user output", "0")]


def test_a_retrace_may_rename_all_nodes(findings):
    inputs = tuple(spec(**{**vars(each), "name": f"n_{each.name}"}) for each in INPUTS)
    text = TEXT.replace("p_w\nb_m\nx\ny", "n_p_w\nn_b_m\nn_x\nn_y").replace("(x, y)", "(n_x, n_y)")
    assert findings(stage="retrace", inputs=inputs, text=text) == []


@pytest.mark.parametrize(
    ("inputs", "outputs", "expected"),
    [
        (changed(INPUTS, 0, target="v"), OUTPUTS, ("input w", "dropped", "PARAMETER w", "no such input spec")),
        (changed(INPUTS, 1, target="v"), OUTPUTS, ("input v", "added", "no such input spec", "BUFFER v")),
        (changed(INPUTS, 2, kind="TOKEN"), OUTPUTS, ("inputs", "number", "2 user inputs", "1")),
        (INPUTS, changed(OUTPUTS, 0, target="v"), ("output m", "dropped", "BUFFER_MUTATION m", "no such output spec")),
    ],
)
def test_a_retrace_keeps_kinds_and_targets(findings, inputs, outputs, expected):
    assert expected in summary(findings(stage="retrace", inputs=inputs, outputs=outputs))


def test_a_retrace_of_a_lowered_program_mutates_in_place(evidence):
    """Training IR copies into its buffers, and has no specs for that."""
    text = "p_w\nb_m\nx\ny\nadd = aten.add.Tensor(x, y)\nc = aten.copy_.default(b_m, add)\nreturn add"
    before = record(program(TEXT, signature=SignatureRecord(INPUTS, OUTPUTS), dialect="ATEN"))
    after = signed(outputs=OUTPUTS[1:], text=text)
    assert signature.check(evidence(before, after, stage="retrace", mode="nonstrict-decompose-retrace")) == []


def test_a_retrace_keeps_mutations_of_user_inputs(evidence):
    """``x.add_(1)``: the program after must write to its input as the one before did."""
    before = (spec("USER_INPUT_MUTATION", "m_new", "x"), OUTPUTS[1])
    pair = [signed(outputs=outputs) for outputs in (before, changed(before, 0, kind="USER_OUTPUT", target=None))]
    assert signature.check(evidence(*pair, stage="retrace")) != []
