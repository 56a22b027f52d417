"""What a finding about effects says: mutations of inputs and state, and random numbers."""

from __future__ import annotations

import pytest
import torch

from pytest_exportcheck.checks import effects
from pytest_exportcheck.describe import state_of
from pytest_exportcheck.harness.snapshot import ModuleSnapshot
from pytest_exportcheck.records import CallSite, Finding, Record
from pytest_exportcheck.reports.wording import kind_of


class Counter(torch.nn.Module):
    def __init__(self, step, *, plain=False):
        super().__init__()
        self.step = step
        if plain:
            self.total = torch.zeros(1)
        else:
            self.register_buffer("total", torch.zeros(1))

    def forward(self):
        self.total.add_(self.step)
        return 0


@pytest.fixture
def findings(evidence, record_of):
    def make(before, after, *args, **options):
        return effects.check(evidence(record_of(before, *args), record_of(after, *args), **options))

    return make


@pytest.fixture
def counted(record_of):
    def make(step, **options):
        module = Counter(step, **options)
        observed = record_of(module, snapshot=ModuleSnapshot(module), calls=2)
        return Record(observations=observed.observations, state=state_of(module))

    return make


def summary(found):
    return [(each.place, kind_of(each), each.expected, each.actual, each.detail) for each in found]


def double(x):
    return x.mul_(2).sum()


def test_equal_mutations_are_no_finding(findings):
    assert findings(double, double, torch.ones(1)) == []


def test_a_lost_mutation_of_an_input(findings):
    assert findings(double, lambda x: (x * 2).sum(), torch.ones(1)) == [
        Finding(
            check="effects",
            place="input args[0]",
            change="dropped",
            key="mutation",
            expected="changed to float32[1] [2.0]",
            actual="unchanged",
            on=(CallSite("a call"),),
        )
    ]


def test_an_added_mutation_of_an_input(findings):
    assert summary(findings(lambda x: (x * 2).sum(), double, torch.ones(1))) == [
        ("input args[0]", "mutation added", "unchanged", "changed to float32[1] [2.0]", "")
    ]


def test_a_mutation_to_another_value(findings):
    assert summary(findings(double, lambda x: x.mul_(3).sum(), torch.ones(1))) == [
        ("input args[0]", "mutated to another value", "2 at [0]", "3 at [0]", "1 of 1 elements differ, by at most 1")
    ]


def test_a_large_mutated_tensor_is_described_by_its_shape(findings):
    (finding,) = findings(double, torch.sum, torch.ones(3, 3))
    assert finding.expected == "changed to float32[3, 3]"


def test_a_lost_update_of_a_buffer_shows_on_both_calls(evidence, counted):
    found = effects.check(evidence(counted(1), counted(0)))
    assert [(each.place, kind_of(each), each.expected, each.on) for each in found] == [
        ("state total", "mutation lost", "changed to float32[1] [1.0]", (CallSite("a call 1"),)),
        ("state total", "mutation lost", "changed to float32[1] [2.0]", (CallSite("a call 2"),)),
    ]


def test_a_lost_update_of_a_plain_tensor_says_what_to_do(evidence, counted):
    found = effects.check(evidence(counted(1, plain=True), counted(0)))
    assert {each.detail for each in found} == {
        "A plain tensor attribute is a constant to a program: use register_buffer, and update it in place."
    }


def test_a_buffer_gets_a_hint_of_its_own(evidence, counted):
    hint = "If forward assigns to it, update it in place (copy_, add_) instead."
    assert {each.detail for each in effects.check(evidence(counted(1), counted(0)))} == {hint}


def test_another_number_of_random_values(findings):
    (finding,) = findings(lambda: torch.rand(1).sum() * 0, lambda: torch.rand(2).sum() * 0)
    assert (finding.place, kind_of(finding)) == ("random generator", "generator")
    assert finding.detail == "a different number of random values was drawn"
    assert finding.expected.startswith("state ")
    assert finding.expected.endswith(" after the call")
    assert finding.actual.startswith("state ")


def test_calls_that_raise_have_no_effects_to_compare(findings):
    assert findings(double, lambda x: 1 // 0, torch.ones(1)) == []
    assert findings(lambda x: 1 // 0, double, torch.ones(1)) == []


def test_decompose_may_move_a_mutation_a_little(findings):
    assert findings(double, lambda x: x.mul_(2.000001).sum(), torch.ones(1), stage="decompose") == []
    assert len(findings(double, lambda x: x.mul_(2.000001).sum(), torch.ones(1), stage="serdes")) == 1


def test_of_a_random_case_the_values_of_mutations_do_not_matter(findings):
    assert findings(double, lambda x: x.mul_(3).sum(), torch.ones(1), random=True) == []
    assert [kind_of(each) for each in findings(double, torch.sum, torch.ones(1), random=True)] == ["mutation lost"]


def test_a_mutated_quantized_input_can_be_described(findings):
    def edit(x):
        x.copy_(torch.full((2,), 3.0))
        return 0

    (finding,) = findings(edit, lambda x: 0, torch.quantize_per_tensor(torch.ones(2), 0.5, 0, torch.quint8))
    assert (finding.place, kind_of(finding)) == ("input args[0]", "mutation lost")
