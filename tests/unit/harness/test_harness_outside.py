"""What calls change besides tensors of a module's state: named, and put back."""

from __future__ import annotations

import functools
import itertools
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import torch

from pytest_exportcheck.harness.outside import Watched, attributes_of, surroundings_of
from pytest_exportcheck.harness.reachable import around
from tests.tensor_zoo import ZOO

TOTAL = torch.zeros(())
STATE: dict[str, torch.Tensor | int] = {"n": torch.zeros(()), "calls": 0}
CALLS = 0
HISTORY: list[torch.Tensor] = []
COLLECTED: list[str] = []
NORM = torch.nn.BatchNorm1d(2)
TICKS = itertools.count()


class Holder:
    def __init__(self):
        self.total = torch.zeros(())


HOLDER = Holder()


class Proxy:
    """Raises when it is asked for anything but its type."""

    def __getattribute__(self, name):
        raise RuntimeError("used outside of its context")


class Making(dict):
    """Makes another tensor whenever an entry is read."""

    def __getitem__(self, key):
        return torch.rand(1)


PROXY, MAKING = Proxy(), Making(a=1)
COUNTERS: defaultdict[str, int] = defaultdict(int)
SHELF: dict[str, torch.Tensor] = {}


class Net(torch.nn.Module):
    """Runs a function in forward()."""

    shared = torch.zeros(())

    def __init__(self, run):
        super().__init__()
        self.run = run
        self.calls, self.sizes, self.holder, self.shape = 0, [], Holder(), None
        self.block = torch.nn.Linear(1, 1)
        self.block.steps = [0]  # type: ignore[assignment]  # any value may be an attribute

    def forward(self):
        return self.run(self), self.calls, self.sizes, self.holder, self.block.steps


def rebind(_):
    global TOTAL, CALLS
    TOTAL = TOTAL + 1
    CALLS += 1


def add_to_total(*_):
    TOTAL.add_(1)


def keep_shape(net):
    net.shape = torch.ones(1).shape


def keep_attention(net):
    net.attention = torch.ones(1)


def add_to_default(_, total=torch.zeros(())):  # noqa: B008
    total.add_(1)


def closing_over():
    total = torch.zeros(())

    def add(_):
        nonlocal total
        total = total + 1

    return add


FILE = Path(__file__).name


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (add_to_total, {"TOTAL": f"a global of {FILE}"}),
        (lambda _: add_to_total(), {"TOTAL": f"a global of {FILE}"}),
        (functools.partial(add_to_total, 1), {"TOTAL": f"a global of {FILE}"}),
        (rebind, {"TOTAL": f"a global of {FILE}", "CALLS": f"a global of {FILE}"}),
        (lambda _: STATE["n"].add_(1), {"STATE['n']": f"an entry of STATE, a global of {FILE}"}),
        (lambda _: STATE.update(n=STATE["n"] + 1), {"STATE['n']": f"an entry of STATE, a global of {FILE}"}),
        (lambda _: STATE.update(calls=9), {"STATE['calls']": f"an entry of STATE, a global of {FILE}"}),
        (lambda _: HISTORY.append(torch.ones(1)), {"HISTORY": f"a global of {FILE}"}),
        (lambda _: HOLDER.total.add_(1), {"HOLDER.total": f"an attribute of HOLDER, a global of {FILE}"}),
        (lambda _: NORM(torch.rand(3, 2)), {f"NORM.{name}": f"a buffer of NORM, a global of {FILE}" for name in ("running_mean", "running_var", "num_batches_tracked")}),
        (lambda net: net.shared.add_(1), {"Net.shared": "a class attribute"}),
        (add_to_default, {"total": "a default argument of add_to_default()"}),
        (closing_over(), {"total": "a closure variable of add()"}),
        (lambda _: COUNTERS.update(a=1), {"COUNTERS": f"a global of {FILE}"}),
        (lambda _: (PROXY, MAKING), {}),
        (lambda _: next(TICKS), {}),
        (lambda _: TOTAL + 1, {}),
    ],
)  # fmt: skip
def test_a_change_outside_the_module_is_named_and_put_back(run, expected):
    net = Net(run)
    watched = surroundings_of(net)
    net()
    first = watched.changed()
    assert {each.name: each.what for each in first} == expected
    watched.keep(first)
    watched.restore()
    assert watched.changed() == () == surroundings_of(net).changed()


def test_a_tensor_has_its_bits_and_its_identity_back():
    before, net = TOTAL, Net(rebind)
    watched = surroundings_of(net)
    net()
    add_to_total()
    watched.restore()
    assert TOTAL is before
    assert TOTAL.item() == 0


def test_what_is_only_collected_is_left_where_it_is():
    net = Net(lambda _: COLLECTED.append("a line"))
    watched = surroundings_of(net)
    net()
    watched.restore()
    assert COLLECTED == ["a line"]


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (lambda net: vars(net).update(calls=1), {"self.calls": ("a Python number", 0, 1)}),  # type: ignore[attr-defined]  # no class
        (lambda net: net.sizes.append(3), {"self.sizes": ("a list", 0, 1)}),
        (lambda net: net.block.steps.__setitem__(0, 5), {"self.block.steps[0]": ("an entry of a list", 0, 5)}),
        (lambda net: net.holder.total.add_(1), {"self.holder.total": ("an attribute of self.holder, a Holder", 0, 1)}),
        (keep_shape, {}),  # nothing reads it
        (keep_attention, {}),
        (lambda net: None, {}),
    ],
)
def test_a_change_of_an_attribute_that_the_code_reads_is_named(run, expected):
    net = Net(run)
    watched = attributes_of(net)
    net()
    assert {each.name: (each.what, each.before, each.after) for each in watched.changed()} == expected


def test_an_attribute_that_shadows_one_of_the_class_has_its_value_before():
    class Counting(torch.nn.Module):
        calls = 3

        def forward(self):
            self.calls += 1

    net = Counting()
    watched = attributes_of(net)
    net()
    assert [(each.name, each.before, each.after) for each in watched.changed()] == [("self.calls", 3, 4)]


def test_an_attribute_that_appears_and_is_looked_for_is_named():
    class Lazy(torch.nn.Module):
        def forward(self):
            if not hasattr(self, "seen"):
                self.seen = 1

    net = Lazy()
    watched = attributes_of(net)
    net()
    assert [(each.name, each.added) for each in watched.changed()] == [("self.seen", True)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(ZOO))
def test_a_tensor_of_any_kind_is_watched_and_bound_again(name):
    SHELF["it"] = tensor = ZOO[name]()
    watched = surroundings_of(Net(lambda _: SHELF["it"]))
    assert watched.changed() == ()
    SHELF["it"] = torch.ones(7)
    assert [each.name for each in watched.changed()] == ["SHELF['it']"]
    watched.restore()
    assert SHELF["it"] is tensor
    assert watched.changed() == ()


def test_tensors_beyond_the_room_are_watched_but_not_cloned():
    reached = around(Net(lambda _: (TOTAL.add_(1), NORM)))
    watched = Watched(reached, in_module=False, room=8)
    assert watched.changed() == ()
    TOTAL.add_(1)
    watched.restore()
    assert TOTAL.item() == 0
    NORM.running_mean.add_(1)
    (change,) = watched.changed()
    assert (change.name, change.before) == ("NORM.running_mean", NORM.running_mean)
    watched.restore()
    assert NORM.running_mean.tolist() == [1, 1]
    NORM.running_mean.zero_()
    mean, NORM.running_mean = NORM.running_mean, torch.ones(2)
    watched.restore()
    assert NORM.running_mean is mean


SEARCHED = """
import torch
from pytest_exportcheck.harness.outside import surroundings_of
B, A, D, C, E, F = ([0] for _ in range(6))
class Net(torch.nn.Module):
    def forward(self):
        for each in (A, B, C, D, E, F):
            each[0] += 1
net = Net()
watched = surroundings_of(net)
net()
print([each.name for each in watched.changed()])
"""


def test_names_come_in_the_same_order_whatever_the_hash_seed():
    runs = [subprocess.run([sys.executable, "-c", SEARCHED], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True) for seed in "12"]  # fmt: skip
    assert runs[0].stdout == runs[1].stdout == f"{[f'{name}[0]' for name in 'ABCDEF']}\n"
