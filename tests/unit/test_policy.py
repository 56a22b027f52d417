"""The tables that tell broken from known."""

from __future__ import annotations

import pytest
from packaging.specifiers import SpecifierSet

from pytest_exportcheck import policy
from pytest_exportcheck.checks import CHECKS
from pytest_exportcheck.modes import CAPTURES, EDGES
from pytest_exportcheck.policy import BLOCKING, CONTRACT, KNOWN, KnownDefect, contract_for, judge
from pytest_exportcheck.records import Finding

FINDING = Finding(check="state", place="twin", kind="dropped a tied name", expected="a", actual="b")
ROW = KnownDefect(id="row", title="a defect", torch=">=2.13,<2.15", check="state", kind="dropped*")


def test_the_contract_names_checks_that_exist():
    assert set(CONTRACT) == set(CHECKS)
    assert set(CHECKS) >= BLOCKING


@pytest.mark.parametrize("stage", [*CAPTURES, *EDGES])
def test_every_stage_has_a_column_that_judges_outputs_and_effects(stage):
    assert set(contract_for(stage)) >= BLOCKING


def test_a_capture_is_judged_bit_by_bit():
    assert contract_for("strict") == {
        "outputs": "bits",
        "effects": "bits",
        "state": "as the module",
        "call_spec": "equal",
    }


def test_only_what_goes_below_autograd_may_move_values():
    close = [stage for stage in (*CAPTURES, *EDGES) if contract_for(stage)["outputs"] == "close"]
    assert close == ["nonstrict_postdispatch", "strict_postdispatch", "decompose"]


def test_unflatten_yields_no_program_whose_call_spec_could_be_judged():
    assert "call_spec" not in contract_for("unflatten")


def test_a_stage_of_no_column_is_not_judged():
    assert contract_for("quantize") == {}


def test_where_eager_is_not_bit_stable_bits_become_closeness():
    levels = contract_for("serdes", bit_stable=False)
    assert levels == {"outputs": "close", "effects": "close", "state": "equal", "call_spec": "equal"}


@pytest.fixture
def judged(monkeypatch):
    """The verdict on a finding, with one row in the table of known defects."""
    monkeypatch.setattr(policy, "KNOWN", (ROW,))

    def verdict(finding=FINDING, **place):
        where = {"engine": "torch", "capture": "strict", "stage": "strict", "torch_version": "2.14.1", **place}
        (found,) = judge([finding], **where)
        return found

    return verdict


def with_field(**fields):
    return Finding(**{**vars(FINDING), **fields})


def test_a_finding_that_a_row_explains_is_known_by_its_id(judged):
    assert judged() == with_field(verdict="known", known_as="row")


@pytest.mark.parametrize("version", ["2.13.0", "2.14.1", "2.14.0+cpu", "2.14.2.dev20261001"])
def test_a_row_holds_in_its_versions_of_torch(judged, version):
    assert judged(torch_version=version).verdict == "known"


@pytest.mark.parametrize("version", ["2.12.1", "2.15.0.dev20261001", "2.15.0"])
def test_and_in_no_other(judged, version):
    assert judged(torch_version=version) == FINDING


@pytest.mark.parametrize("field", [{"check": "outputs"}, {"kind": "added"}])
def test_a_row_explains_only_its_check_and_kind(judged, field):
    assert judged(with_field(**field)).verdict == "broken"


def test_a_row_is_about_the_torch_engine_unless_it_says_otherwise(judged):
    assert judged(engine="mine").verdict == "broken"


@pytest.mark.parametrize(
    ("narrowed", "elsewhere"),
    [
        ({"stage": "serdes"}, {"stage": "retrace"}),
        ({"capture": "strict*"}, {"capture": "nonstrict"}),
    ],
)
def test_a_row_may_be_narrowed_to_stages_and_captures(monkeypatch, judged, narrowed, elsewhere):
    monkeypatch.setattr(policy, "KNOWN", (KnownDefect(**{**vars(ROW), **narrowed}),))
    matching = {name: glob.rstrip("*") for name, glob in narrowed.items()}
    assert judged(**matching).verdict == "known"
    assert judged(**elsewhere).verdict == "broken"


@pytest.mark.parametrize("narrowed", [{"place": "other"}, {"actual": "RuntimeError*"}])
def test_a_row_may_be_narrowed_to_places_and_texts(monkeypatch, judged, narrowed):
    monkeypatch.setattr(policy, "KNOWN", (KnownDefect(**{**vars(ROW), **narrowed}),))
    assert judged().verdict == "broken"
    assert judged(with_field(**{name: glob.rstrip("*") for name, glob in narrowed.items()})).verdict == "known"


def test_rows_have_ids_of_their_own_and_readable_versions():
    assert len({row.id for row in KNOWN}) == len(KNOWN)
    assert all(SpecifierSet(row.torch) for row in KNOWN)
