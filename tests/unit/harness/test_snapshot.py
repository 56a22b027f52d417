"""A snapshot says what changed in a module, and puts the module back as it was."""

from __future__ import annotations

import pytest
import torch

from pytest_exportcheck.harness.snapshot import ModuleSnapshot
from tests.unit.harness.stateful_net import Net, changed


def test_an_untouched_module_has_not_changed():
    assert changed(ModuleSnapshot(Net())) == {}


@pytest.mark.parametrize("name", ["weight", "total", "cache", "plain"])
def test_an_update_in_place_shows_and_is_undone(name):
    net = Net()
    before, tensor = getattr(net, name).tolist(), getattr(net, name)
    snapshot = ModuleSnapshot(net)
    tensor.data.add_(5)
    assert changed(snapshot) == {name: [each + 5 for each in before]}
    snapshot.restore()
    assert getattr(net, name) is tensor
    assert tensor.tolist() == before


def test_an_update_through_a_view_shows_and_is_undone():
    net = Net()
    snapshot = ModuleSnapshot(net)
    net.total[:1].add_(1)
    assert changed(snapshot) == {"total": [1, 0]}
    snapshot.restore()
    assert net.total.tolist() == [0, 0]


@pytest.mark.parametrize("name", ["total", "cache", "plain"])
def test_a_rebound_tensor_shows_and_is_bound_back(name):
    net = Net()
    original = getattr(net, name)
    snapshot = ModuleSnapshot(net)
    setattr(net, name, torch.ones(2))
    assert changed(snapshot) == {name: [1, 1]}
    snapshot.restore()
    assert getattr(net, name) is original


def test_a_tensor_rebound_to_equal_values_has_not_changed_and_is_bound_back():
    net = Net()
    original = net.total
    snapshot = ModuleSnapshot(net)
    net.total = torch.zeros(2)
    assert changed(snapshot) == {}
    snapshot.restore()
    assert net.total is original


def test_what_was_updated_and_then_rebound_gets_its_values_back_too():
    net = Net()
    original = net.total
    snapshot = ModuleSnapshot(net)
    net.total.add_(1)
    net.total = net.total + 1
    snapshot.restore()
    assert net.total is original
    assert original.tolist() == [0, 0]


def test_a_deleted_buffer_comes_back():
    net = Net()
    snapshot = ModuleSnapshot(net)
    del net.total
    snapshot.restore()
    assert net.total.tolist() == [0, 0]


def test_a_buffer_set_to_none_comes_back():
    net = Net()
    snapshot = ModuleSnapshot(net)
    net.total = None  # type: ignore[assignment]  # torch takes it for a buffer
    snapshot.restore()
    assert net.total.tolist() == [0, 0]


def test_a_buffer_that_was_none_shows_and_is_none_again():
    net = torch.nn.Module()
    net.register_buffer("mask", None)
    snapshot = ModuleSnapshot(net)
    net.mask = torch.ones(2)
    shown = changed(snapshot)
    snapshot.restore()
    assert (shown, net.mask) == ({"mask": [1, 1]}, None)  # type: ignore[comparison-overlap]  # bound back


def test_gradients_that_came_are_gone():
    net = Net()
    snapshot = ModuleSnapshot(net)
    net.weight.sum().backward()
    snapshot.restore()
    assert net.weight.grad is None


def test_gradients_that_went_are_back():
    net = Net()
    net.weight.grad = torch.full((2,), 7.0)
    snapshot = ModuleSnapshot(net)
    net.weight.grad = None
    snapshot.restore()
    assert net.weight.grad.tolist() == [7, 7]  # type: ignore[attr-defined]  # bound back


def test_gradients_that_were_accumulated_in_place_have_their_values_back():
    net = Net()
    net.weight.grad = torch.full((2,), 7.0)
    snapshot = ModuleSnapshot(net)
    net.weight.sum().backward()
    assert net.weight.grad.tolist() == [8, 8]
    snapshot.restore()
    assert net.weight.grad.tolist() == [7, 7]


def test_training_flags_of_every_submodule_come_back():
    net = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Dropout())
    net[0].eval()
    snapshot = ModuleSnapshot(net)
    net.eval()
    net[0].train()
    snapshot.restore()
    assert [net.training, net[0].training, net[1].training] == [True, False, True]


def test_counters_and_lists_come_back():
    net = Net()
    snapshot = ModuleSnapshot(net)
    net.calls += 1
    net.seen.append(1)
    snapshot.restore()
    assert (net.calls, net.seen) == (0, [])


def test_a_number_that_became_a_tensor_comes_back():
    net = Net()
    snapshot = ModuleSnapshot(net)
    net.calls = torch.ones(2)
    snapshot.restore()
    assert net.calls == 0


def test_restoring_twice_is_as_good_as_once():
    net = Net()
    snapshot = ModuleSnapshot(net)
    for _ in range(2):
        net.seen.append(1)
        net.total.add_(1)
        snapshot.restore()
    assert (net.seen, net.total.tolist()) == ([], [0, 0])


def test_a_plain_list_of_submodules_still_holds_the_submodules():
    net = torch.nn.Module()
    net.layer = torch.nn.Linear(1, 1)
    net.layers = [net.layer]  # type: ignore[assignment]  # any value may be an attribute
    ModuleSnapshot(net).restore()
    assert net.layers[0] is net.layer


def test_tensors_in_plain_containers_come_back_with_their_values():
    net = torch.nn.Module()
    net.caches = {"keys": torch.zeros(2)}  # type: ignore[assignment]  # any value may be an attribute
    snapshot = ModuleSnapshot(net)
    net.caches["keys"].add_(1)
    net.caches["values"] = torch.ones(2)
    snapshot.restore()
    assert {name: tensor.tolist() for name, tensor in net.caches.items()} == {"keys": [0, 0]}


def test_an_attribute_that_came_is_gone():
    net = Net()
    snapshot = ModuleSnapshot(net)
    net.last = torch.ones(2)
    net.ready = True  # type: ignore[assignment]  # any value may be an attribute
    snapshot.restore()
    assert not hasattr(net, "last")
    assert not hasattr(net, "ready")


def test_tied_parameters_stay_tied_and_show_under_both_names():
    net = Net()
    net.twin = net.weight
    snapshot = ModuleSnapshot(net)
    with torch.no_grad():
        net.weight.add_(1)
    assert changed(snapshot) == {"weight": [2, 2], "twin": [2, 2]}
    snapshot.restore()
    assert net.twin is net.weight
    assert net.weight.tolist() == [1, 1]


def test_a_sparse_buffer_gets_its_values_back():
    net = torch.nn.Module()
    net.register_buffer("graph", torch.eye(2).to_sparse())
    snapshot = ModuleSnapshot(net)
    net.graph.mul_(2)
    snapshot.restore()
    assert net.graph.to_dense().tolist() == [[1, 0], [0, 1]]


def test_an_expanded_buffer_gets_its_values_back():
    net, base = torch.nn.Module(), torch.zeros(1)
    net.register_buffer("scale", base.expand(3))
    snapshot = ModuleSnapshot(net)
    base.add_(1)
    snapshot.restore()
    assert net.scale.tolist() == [0, 0, 0]


def test_a_buffer_of_one_element_of_a_strided_slice_is_watched():
    net = torch.nn.Module()
    net.register_buffer("first", torch.zeros(4)[::2][:1])
    snapshot = ModuleSnapshot(net)
    net.first.add_(1)
    assert changed(snapshot) == {"first": [1]}


def test_equal_pristine_tensors_serve_as_the_copy():
    net, pristine = Net(), {"weight": torch.ones(2)}
    assert ModuleSnapshot(net, pristine).values["weight"] is pristine["weight"]


def test_other_pristine_tensors_do_not():
    net = Net()
    values = ModuleSnapshot(net, {"weight": torch.zeros(2), "total": net.total}).values
    assert values["weight"].tolist() == [1, 1]
    assert values["total"] is not net.total


def test_changed_gives_clones():
    net = Net()
    snapshot = ModuleSnapshot(net)
    net.total.add_(1)
    noted = snapshot.changed()["total"]
    net.total.add_(1)
    assert noted.tolist() == [1, 1]


CHANGES = {
    "grad mode": lambda: torch.set_grad_enabled(False),
    "number of threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "default dtype": lambda: torch.set_default_dtype(torch.float64),
    "default device": lambda: torch.set_default_device("meta"),
    "deterministic algorithms": lambda: torch.use_deterministic_algorithms(True),
    "anomaly mode": lambda: torch.autograd.set_detect_anomaly(True),
    "autocast": lambda: torch.set_autocast_enabled("cpu", True),
}
