"""What a finding about the caller's containers says."""

from __future__ import annotations

import pytest
import torch

from pytest_exportcheck.checks import effects
from pytest_exportcheck.records import CallSite, Finding
from pytest_exportcheck.reports.wording import kind_of


@pytest.fixture
def findings(evidence, record_of):
    """Findings of a capture: eager before, a program after."""

    def make(before, after, *args, stage="nonstrict", **options):
        eager = record_of(before, *args)
        return effects.check(evidence(eager, record_of(after, *args), stage=stage, module=eager, **options))

    return make


def summary(found):
    return [(each.place, kind_of(each), each.expected, each.actual) for each in found]


def grow(cache):
    cache["k"] = torch.cat([cache["k"], cache["k"]])
    return 0


def look(cache):
    return 0


def test_an_entry_that_the_program_does_not_replace(findings):
    assert findings(grow, look, {"k": torch.zeros(9)}) == [
        Finding(
            check="effects",
            place="input args[0]['k']",
            change="dropped",
            key="container_update",
            expected="float32[18]",
            actual="float32[9]",
            detail="forward() updates the dict that the caller passes; a program reads the tensors in it but does not update it.\n"
            "Return the new value and let the caller store it, or write to the tensor in place (copy_).",
            on=(CallSite("a call"),),
        )
    ]


def test_a_returned_value_is_named(findings):
    (finding,) = findings(
        lambda c: (grow(c), c["k"]), lambda c: (0, torch.cat([c["k"], c["k"]])), {"k": torch.zeros(9)}
    )
    assert finding.detail.splitlines()[1] == "The program returns the new value as output[1]: let the caller store it."


def test_entries_that_are_added_and_removed(findings):
    def change(cache):
        cache["new"] = cache.pop("k") + 1
        return 0

    assert summary(findings(change, look, {"k": torch.zeros(1)})) == [
        ("input args[0]['k']", "mutation lost", "no entry", "float32[1] [0.0]"),
        ("input args[0]['new']", "mutation lost", "float32[1] [1.0]", "no entry"),
    ]


def test_an_edge_that_updates_what_the_program_before_left_alone(findings):
    (finding,) = findings(look, grow, {"k": torch.zeros(9)}, stage="serdes")
    assert (finding.place, kind_of(finding), finding.detail) == ("input args[0]['k']", "mutation added", "")


def test_both_replace_it_by_values_that_differ(findings):
    def by(factor):
        return lambda cache: cache.update(k=cache["k"] + factor) or 0

    assert summary(findings(by(1), by(2), {"k": torch.zeros(1)})) == [
        ("input args[0]['k']", "mutated to another value", "1 at [0]", "2 at [0]")
    ]


@pytest.mark.parametrize(
    ("eager", "program"),
    [
        (lambda c: c.update(k=c["k"].clone()) or 0, look),
        (lambda c: c.update(n=2) or 0, look),
        (grow, grow),
    ],
)
def test_equal_values_are_no_finding(findings, eager, program):
    assert findings(eager, program, {"k": torch.zeros(1), "n": 2}) == []


def test_of_a_value_that_the_program_writes_in_place_only_that_is_said(findings):
    found = findings(lambda c: c.update(k=c["k"] + 1) or 0, lambda c: c["k"].add_(1).sum() * 0, {"k": torch.zeros(1)})
    assert summary(found) == [("input args[0]['k']", "mutation added", "unchanged", "changed to float32[1] [1.0]")]


def test_a_number_and_a_type(findings):
    found = findings(lambda c: c.update(n=3, s="x") or 0, look, {"n": 2, "s": 1})
    assert [(each.expected, each.actual) for each in found] == [("int 3", "int 2"), ("str 'x'", "int 1")]


def test_of_many_entries_the_rest_is_listed(findings):
    def all_of_them(caches):
        caches[:] = [each + 1 for each in caches]
        return 0

    found = findings(all_of_them, lambda caches: 0, [torch.zeros(1) for _ in range(20)])
    assert len(found) == 4
    assert found[-1].detail.splitlines()[-1] == (
        "16 more entries of args[0] differ: args[0][4], args[0][5], args[0][6], args[0][7], ..."
    )


def test_of_random_cases_shapes_are_compared(findings):
    noisy = [lambda c: c.update(k=torch.rand(2)) or 0 for _ in range(2)]
    assert findings(*noisy, {"k": torch.zeros(2)}, random=True) == []
    found = findings(noisy[0], lambda c: c.update(k=torch.zeros(2).double()) or 0, {"k": torch.zeros(2)}, random=True)
    assert "input args[0]['k']" in [each.place for each in found]


def test_one_ulp_is_a_difference(findings):
    above = torch.nextafter(torch.ones(1), torch.full((1,), 2.0))
    (finding,) = findings(
        lambda c: c.update(k=above) or 0, lambda c: c.update(k=torch.ones(1)) or 0, {"k": torch.zeros(1)}
    )
    assert kind_of(finding) == "mutated to another value"


def test_of_random_cases_an_update_by_one_side_alone_is_found(findings):
    def step(cache):
        cache["k"] = cache["k"] + 1
        return 0

    (finding,) = findings(step, look, {"k": torch.zeros(1)}, random=True)
    assert (kind_of(finding), finding.expected, finding.actual) == ("mutation lost", "1 at [0]", "0 at [0]")
    (finding,) = findings(look, lambda c: c.update(n=3) or 0, {"n": 2}, random=True, stage="serdes")
    assert (kind_of(finding), finding.expected, finding.actual) == ("mutation added", "int 2", "int 3")
    assert findings(lambda c: c.update(k=c["k"].clone()) or 0, look, {"k": torch.zeros(1)}, random=True) == []
