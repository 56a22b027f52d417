"""What a finding about state says: names, kinds, values, tying and order."""

from __future__ import annotations

import pytest
import torch

from pytest_exportcheck.checks import state
from pytest_exportcheck.describe import state_of
from pytest_exportcheck.records import Record
from pytest_exportcheck.reports.wording import kind_of


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(2))
        self.bias = torch.nn.Parameter(torch.zeros(2))
        self.register_buffer("total", torch.zeros(2))
        self.register_buffer("cache", torch.zeros(2), persistent=False)


def tied():
    net = Net()
    net.twin = net.weight
    return net


@pytest.fixture
def findings(evidence):
    """The findings where a stage edits the module."""

    def make(edit, before=Net):
        old, new = before(), before()
        edit(new)
        found = state.check(
            evidence(Record(observations=(), state=state_of(old)), Record(observations=(), state=state_of(new)))
        )
        return [(each.place, kind_of(each), each.expected, each.actual) for each in found]

    return make


def test_the_same_state_is_no_finding(findings):
    assert findings(lambda net: None) == []
    assert findings(lambda net: None, tied) == []


def test_a_side_without_state_is_not_judged(evidence):
    some, none = Record(observations=(), state=state_of(Net())), Record(observations=())
    assert state.check(evidence(some, none)) == state.check(evidence(none, some)) == []


def test_a_dropped_name(findings):
    def drop(net):
        del net.total

    assert findings(drop) == [("total", "dropped", "buffer float32[2] [0.0, 0.0]", "no such name")]


def test_an_added_name(findings):
    assert findings(lambda net: net.register_buffer("extra", torch.ones(1))) == [
        ("extra", "added", "no such name", "buffer float32[1] [1.0]")
    ]


def test_an_added_name_that_is_not_saved_does_not_matter(findings):
    assert findings(lambda net: net.register_buffer("extra", torch.ones(1), persistent=False)) == []


def test_a_plain_tensor_that_became_a_buffer_was_not_added(evidence):
    old, new = torch.nn.Module(), torch.nn.Module()
    old.constant = torch.ones(1)
    new.register_buffer("constant", torch.ones(1))
    records = [Record(observations=(), state=state_of(net)) for net in (old, new)]
    assert state.check(evidence(*records)) == []


def test_a_name_that_is_left_as_a_plain_tensor_was_baked_in(evidence):
    old, new = Net(), Net()
    new.constant_0 = old.total
    del new.total
    records = [Record(observations=(), state=state_of(net)) for net in (old, new)]
    assert [(each.place, kind_of(each)) for each in state.check(evidence(*records))] == [
        ("total", "baked in as a constant")
    ]


def test_of_tied_names_one_may_be_dropped(evidence):
    old = tied()
    new = Net()
    new.weight = old.weight
    records = [Record(observations=(), state=state_of(net)) for net in (old, new)]
    found = state.check(evidence(*records))
    assert [(each.place, kind_of(each)) for each in found] == [("twin", "dropped a tied name")]


def test_a_parameter_that_became_a_buffer(findings):
    def convert(net):
        value = net.bias.detach()
        del net.bias
        net.register_buffer("bias", value)

    assert ("bias", "kind", "parameter", "buffer") in findings(convert)
    assert ("bias", "requires_grad", "True", "False") in findings(convert)


def test_a_buffer_that_is_saved_now(findings):
    assert ("cache", "persistence", "False", "True") in findings(
        lambda net: net.register_buffer("cache", net.cache, persistent=True)
    )


def test_another_gradient_flag(findings):
    assert findings(lambda net: net.bias.requires_grad_(False)) == [("bias", "requires_grad", "True", "False")]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (torch.zeros(3), ("total", "shape", "[2]", "[3]")),
        (torch.zeros(2).double(), ("total", "dtype", "float32", "float64")),
        (torch.zeros(2, device="meta"), ("total", "device", "cpu", "meta")),
        (torch.zeros(2).to_sparse(), ("total", "layout", "strided", "sparse_coo")),
        (torch.tensor([0.0, 1.0]), ("total", "value", "0 at [1]", "1 at [1]")),
    ],
)
def test_another_tensor_under_the_same_name(findings, value, expected):
    assert findings(lambda net: net.register_buffer("total", value)) == [expected]


def test_values_are_compared_bit_by_bit(findings):
    assert findings(lambda net: net.total.neg_()) == [("total", "value", "0 at [0]", "-0 at [0]")]


def test_another_order_names_the_first_difference(findings):
    def move(net):
        net._parameters["weight"] = net._parameters.pop("weight")

    assert findings(move) == [("state_dict", "order", "weight, bias, total", "bias, weight, total")]


def test_a_long_order_is_cut_around_the_difference(evidence):
    old, new = torch.nn.Module(), torch.nn.Module()
    for net, names in ((old, "abcdef"), (new, "acbdef")):
        for name in names:
            net.register_buffer(name, torch.zeros(1))
    records = [Record(observations=(), state=state_of(net)) for net in (old, new)]
    (finding,) = state.check(evidence(*records))
    assert (finding.expected, finding.actual) == ("... b, c, d ...", "... c, b, d ...")


def test_tied_names_may_trade_places(findings):
    def trade(net):
        net._parameters["weight"] = net._parameters.pop("weight")

    assert findings(trade, tied) == []


def test_tied_parameters_that_became_separate(evidence):
    old, new = tied(), tied()
    new.twin = torch.nn.Parameter(new.weight.detach().clone())
    records = [Record(observations=(), state=state_of(net)) for net in (old, new)]
    (finding,) = state.check(evidence(*records))
    assert (finding.place, kind_of(finding)) == ("weight", "untied")
    assert finding.expected == "one tensor with twin"
    assert finding.actual == "separate tensors in separate storages"
    assert finding.detail == "an optimizer would now update 2 tensors instead of 1"


def test_separate_parameters_may_still_share_storage(findings):
    def split(net):
        net.twin = torch.nn.Parameter(net.weight.detach())

    assert findings(split, tied) == [
        ("weight", "untied", "one tensor with twin", "separate tensors that share storage")
    ]


def test_separate_parameters_that_became_tied(findings):
    def tie(net):
        with torch.no_grad():
            net.bias.fill_(1)
        net.bias = net.weight

    assert ("weight", "tied", "a separate tensor", "one tensor with bias") in findings(tie)
