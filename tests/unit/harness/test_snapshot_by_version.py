"""A snapshot for many calls in a row goes by version counters."""

from __future__ import annotations

import pytest
import torch

from pytest_exportcheck.harness.snapshot import ModuleSnapshot
from tests.unit.harness.stateful_net import Net, changed


def test_by_version_what_was_written_to_is_seen_and_put_back():
    layer = torch.nn.BatchNorm1d(2)
    snapshot = ModuleSnapshot(layer, by_version=True)
    for _ in range(2):
        layer(torch.randn(4, 2) + 3)
        assert set(snapshot.changed()) == {"running_mean", "running_var", "num_batches_tracked"}
        snapshot.restore()
        assert snapshot.changed() == {} and layer.running_mean.tolist() == [0.0, 0.0]


def test_by_version_another_tensor_in_a_place_is_seen():
    layer = torch.nn.BatchNorm1d(2)
    snapshot = ModuleSnapshot(layer, by_version=True)
    layer.running_mean = torch.ones(2)
    assert set(snapshot.changed()) == {"running_mean"}
    snapshot.restore()
    assert layer.running_mean.tolist() == [0.0, 0.0]


def test_by_version_a_tensor_without_a_counter_is_compared():
    with torch.inference_mode():
        module = torch.nn.Linear(2, 2)
    snapshot = ModuleSnapshot(module, by_version=True)
    with torch.inference_mode():
        module.bias.add_(1)
    assert set(snapshot.changed()) == {"bias"}


def test_by_version_a_parameter_is_seen_and_put_back():
    layer = torch.nn.Linear(2, 2)
    snapshot = ModuleSnapshot(layer, by_version=True)
    before = layer.weight.tolist()
    for _ in range(2):
        with torch.no_grad():
            layer.weight.add_(1)
        assert set(snapshot.changed()) == {"weight"}
        snapshot.restore()
        assert layer.weight.tolist() == before and snapshot.changed() == {}


def by_version(net):
    return ModuleSnapshot(net, by_version=True)


@pytest.mark.parametrize("name", ["weight", "total", "cache", "plain"])
def test_by_version_an_update_in_place_shows_and_is_undone_every_time(name):
    net = Net()
    before, tensor = getattr(net, name).tolist(), getattr(net, name)
    snapshot = by_version(net)
    for step in (5, 7):
        with torch.no_grad():
            tensor.add_(step)
        assert changed(snapshot) == {name: [each + step for each in before]}
        snapshot.restore()
        assert getattr(net, name) is tensor
        assert tensor.tolist() == before
        assert changed(snapshot) == {}


def test_by_version_an_update_through_a_view_shows():
    net = Net()
    snapshot = by_version(net)
    net.total[:1].add_(1)
    assert changed(snapshot) == {"total": [1, 0]}


def test_by_version_writes_past_the_counter_are_missed():
    layer = torch.nn.Linear(2, 2)
    snapshot = by_version(layer)
    layer.bias.data.add_(1)
    assert changed(snapshot) == {}


def test_by_version_another_storage_is_told():
    net = Net()
    snapshot = by_version(net)
    net.total.data = torch.ones(2)
    assert changed(snapshot) == {"total": [1, 1]}
    snapshot.restore()
    assert net.total.tolist() == [0, 0]


def test_by_version_an_update_that_changes_nothing_has_not_changed():
    net = Net()
    snapshot = by_version(net)
    net.total.add_(0)
    assert changed(snapshot) == {}


def test_by_version_a_rebound_tensor_shows_and_is_bound_back():
    net = Net()
    original = net.total
    snapshot = by_version(net)
    net.total = torch.ones(2)
    assert changed(snapshot) == {"total": [1, 1]}
    snapshot.restore()
    assert net.total is original


def test_by_version_what_was_updated_and_then_rebound_gets_its_values_back_too():
    net = Net()
    original = net.total
    snapshot = by_version(net)
    net.total.add_(1)
    net.total = net.total + 1
    snapshot.restore()
    assert (net.total is original, original.tolist()) == (True, [0, 0])


def test_by_version_tensors_that_changed_places_show():
    net = Net()
    net.plain = torch.ones(2)
    snapshot = by_version(net)
    net.total, net.plain = net.plain, net.total
    assert changed(snapshot) == {"total": [1, 1], "plain": [0, 0]}
    snapshot.restore()
    assert (net.total.tolist(), net.plain.tolist()) == ([0, 0], [1, 1])


def test_by_version_tied_tensors_come_back_and_stay_tied():
    net = Net()
    net.twin = net.weight
    snapshot = by_version(net)
    for _ in range(2):
        with torch.no_grad():
            net.weight.add_(1)
        assert changed(snapshot) == {"weight": [2, 2], "twin": [2, 2]}
        snapshot.restore()
        assert (net.twin is net.weight, net.weight.tolist()) == (True, [1, 1])


def test_by_version_an_inference_tensor_is_told_by_its_values():
    net = torch.nn.Module()
    with torch.inference_mode():
        net.register_buffer("total", torch.zeros(2))
    snapshot = by_version(net)
    with torch.inference_mode():
        net.total.add_(1)
    assert changed(snapshot) == {"total": [1, 1]}


def test_by_version_an_untouched_parameter_is_not_compared(monkeypatch):
    snapshot = by_version(torch.nn.Linear(2, 2))
    compared = []
    monkeypatch.setattr(
        "pytest_exportcheck.harness.snapshot.same_bits",
        lambda one, other: compared.append(one) or True,  # type: ignore[func-returns-value]  # None, then True
    )
    snapshot.changed()
    assert compared == []
