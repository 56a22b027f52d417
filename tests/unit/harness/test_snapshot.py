"""A snapshot says what changed in a module, and puts the module and the process back as they were."""

from __future__ import annotations

import random

import pytest
import torch

from pytest_exportcheck.harness.process_state import (
    changed_globals,
    generator_digest,
    global_modes,
    preserved_globals,
    seed_everything,
)
from pytest_exportcheck.harness.slots import slots_of
from pytest_exportcheck.harness.snapshot import ModuleSnapshot


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(2))
        self.register_buffer("total", torch.zeros(2))
        self.register_buffer("cache", torch.zeros(2), persistent=False)
        self.plain = torch.zeros(2)
        self.calls = 0
        self.seen = []


def slots(module):
    return {slot.name: (slot.kind, slot.persistent) for slot in slots_of(module)}


def changed(snapshot):
    return {name: tensor.tolist() for name, tensor in snapshot.changed().items()}


def test_slots_are_parameters_buffers_and_plain_tensors():
    assert slots(Net()) == {
        "weight": ("parameter", True),
        "total": ("buffer", True),
        "cache": ("buffer", False),
        "plain": ("attribute", False),
    }


def test_a_shared_submodule_is_listed_under_every_name():
    model = torch.nn.Sequential(torch.nn.ReLU(), layer := torch.nn.Linear(1, 1, bias=False), layer)
    assert list(slots(model)) == ["1.weight", "2.weight"]


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
    net.total = None
    snapshot.restore()
    assert net.total.tolist() == [0, 0]


def test_a_buffer_that_was_none_shows_and_is_none_again():
    net = torch.nn.Module()
    net.register_buffer("mask", None)
    snapshot = ModuleSnapshot(net)
    net.mask = torch.ones(2)
    shown = changed(snapshot)
    snapshot.restore()
    assert (shown, net.mask) == ({"mask": [1, 1]}, None)


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
    assert net.weight.grad.tolist() == [7, 7]


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
    net.layers = [net.layer]
    ModuleSnapshot(net).restore()
    assert net.layers[0] is net.layer


def test_tensors_in_plain_containers_come_back_with_their_values():
    net = torch.nn.Module()
    net.caches = {"keys": torch.zeros(2)}
    snapshot = ModuleSnapshot(net)
    net.caches["keys"].add_(1)
    net.caches["values"] = torch.ones(2)
    snapshot.restore()
    assert {name: tensor.tolist() for name, tensor in net.caches.items()} == {"keys": [0, 0]}


def test_an_attribute_that_came_is_gone():
    net = Net()
    snapshot = ModuleSnapshot(net)
    net.last = torch.ones(2)
    net.ready = True
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


@pytest.fixture
def no_default_device():
    yield
    torch.set_default_device(None)


@pytest.mark.parametrize("name", CHANGES)
def test_a_global_mode_that_changes_is_named_and_put_back(name, no_default_device):
    before = global_modes()
    with preserved_globals():
        CHANGES[name]()
        assert list(changed_globals(before)) == [name]
    assert global_modes() == before


def test_putting_the_device_back_leaves_no_function_mode_behind(no_default_device):
    before = torch._C._len_torch_function_stack()
    with preserved_globals():
        torch.set_default_device("meta")
    assert torch._C._len_torch_function_stack() == before


def test_every_global_mode_is_tested():
    assert set(CHANGES) == set(global_modes())


def test_changed_globals_gives_both_values():
    with preserved_globals():
        before = global_modes()
        torch.set_default_dtype(torch.float64)
        assert changed_globals(before) == {"default dtype": (torch.float32, torch.float64)}


def test_generators_are_put_back_after_an_exception():
    torch_before, python_before = generator_digest(), random.getstate()
    with pytest.raises(ValueError, match=r"^stop$"), preserved_globals():
        torch.rand(1)
        random.random()
        raise ValueError("stop")
    assert (generator_digest(), random.getstate()) == (torch_before, python_before)


def test_numpys_generator_is_put_back():
    numpy = pytest.importorskip("numpy", reason="torch runs without numpy, then there is no generator to put back")
    before = numpy.random.get_state()[1].tolist()
    with preserved_globals():
        numpy.random.seed(before[0] % 1000 + 1)
    assert numpy.random.get_state()[1].tolist() == before


def test_the_digest_changes_when_values_are_drawn():
    with preserved_globals():
        before = generator_digest()
        torch.rand(1)
        assert generator_digest() != before


def test_one_seed_gives_one_sequence():
    def draw(seed):
        seed_everything(seed)
        return torch.rand(1).item(), random.random()

    with preserved_globals():
        assert draw(3) == draw(3) != draw(4)


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
        "pytest_exportcheck.harness.snapshot.same_bits", lambda one, other: compared.append(one) or True
    )
    snapshot.changed()
    assert compared == []
