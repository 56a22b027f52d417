"""Objects that operators take: what they hold is observed, and calls leave them as they were."""

from __future__ import annotations

import pytest
import torch

from pytest_exportcheck.harness.objects import ObjectsSnapshot, object_value, same_object
from pytest_exportcheck.harness.observation import observe
from pytest_exportcheck.harness.snapshot import ModuleSnapshot
from pytest_exportcheck.records import Inputs
from tests.opaque_objects import Base, Counter, Scale
from tests.opaque_objects import load as load_operators


@pytest.fixture(scope="module", autouse=True)
def operators():
    load_operators()


class Bound(Counter):
    """An object that cannot be copied."""

    def __deepcopy__(self, memo):
        raise TypeError("not copied")


class Net(torch.nn.Module):
    def __init__(self, kind=Counter):
        super().__init__()
        self.counter = kind()
        self.again = self.counter
        self.listed = [kind(5)]
        self.generator = torch.Generator().manual_seed(3)

    def forward(self, x):
        x = torch.ops.exportcheck_opaque.bump(self.counter, x)
        return torch.ops.exportcheck_opaque.bump(self.listed[0], x)


def numbers(objects):
    return {name: [each.value for each in value.leaves] for name, value in objects.items()}


def test_the_state_of_an_object_is_read():
    counter = Counter(3)
    counter.seen = [torch.ones(2), "text"]
    value = object_value(counter)
    assert value.kind == "tests.opaque_objects.Counter"
    assert [leaf.place for leaf in value.leaves] == ["['number']", "['seen'][0]", "['seen'][1]"]
    assert [str(leaf.value) for leaf in value.leaves] == ["3", "tensor([1., 1.])", "text"]
    counter.seen[0].add_(1)
    assert not same_object(value, object_value(counter))


def test_a_snapshot_names_the_objects_that_changed_under_every_name_and_puts_copies_back():
    net = Net()
    counter, listed = net.counter, net.listed[0]
    snapshot = ObjectsSnapshot(net)
    net.counter.number += 1
    net.listed[0].number += 1
    assert numbers(snapshot.changed()) == {"counter": [1], "again": [1], "listed[0]": [6]}
    snapshot.restore()
    assert (net.counter.number, net.listed[0].number) == (0, 5)
    assert net.again is net.counter
    assert net.counter is not counter
    assert net.listed[0] is not listed


def test_calls_change_copies_and_are_observed():
    net = Net()
    counter, generator = net.counter, net.generator
    calls = [Inputs(f"call {number}", (torch.zeros(1),), {}) for number in range(2)]
    first, second = observe(net, calls, snapshot=ModuleSnapshot(net), seed=0)
    assert numbers(first.objects) == {"state counter": [1], "state again": [1], "state listed[0]": [6]}
    assert numbers(second.objects) == {"state counter": [2], "state again": [2], "state listed[0]": [7]}
    assert (counter.number, net.counter, net.generator) == (0, counter, generator)


def test_a_generator_that_draws_has_changed():
    net = Net()
    snapshot = ObjectsSnapshot(net)
    torch.rand(1, generator=net.generator)
    assert list(snapshot.changed()) == ["generator"]
    snapshot.restore()
    assert torch.equal(net.generator.get_state(), torch.Generator().manual_seed(3).get_state())


def test_an_object_that_is_passed_in_is_copied_and_its_change_observed():
    counter = Counter()
    (seen,) = observe(
        torch.ops.exportcheck_opaque.bump, [Inputs("call", (counter, torch.zeros(1)), {})], snapshot=None, seed=0
    )
    assert numbers(seen.objects) == {"input args[0]": [1]}
    assert counter.number == 0


def test_objects_that_cannot_be_copied_are_named():
    net = Net(Bound)
    snapshot = ObjectsSnapshot(net)
    assert snapshot.uncopied == ["counter", "again", "listed[0]"]
    net.counter.number += 1
    snapshot.restore()
    assert net.counter.number == 1


def test_a_constant_is_an_object_and_other_values_are_not():
    net = torch.nn.Module()
    net.scale, net.base, net.number = Scale(3), Base, 3  # type: ignore[assignment]  # any value may be an attribute
    assert ObjectsSnapshot(net).uncopied == []
    net.scale.factor = 4
    snapshot = ObjectsSnapshot(net)
    net.scale.factor = 5
    assert list(snapshot.changed()) == ["scale"]
