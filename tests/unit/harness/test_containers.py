"""What a call changed in the containers that it was given: by place, by identity, and by value."""

from __future__ import annotations

import collections
import dataclasses

import pytest
import torch
import torch.utils._pytree as pytree

from pytest_exportcheck.harness.containers import contents_of, updates_since
from pytest_exportcheck.harness.observation import observe
from pytest_exportcheck.records import Inputs
from tests.tensor_zoo import ZOO


@dataclasses.dataclass
class Carry:
    hidden: torch.Tensor
    memory: torch.Tensor


class Cache:
    """Registered without keys; looks at its leaves when it is put together."""

    def __init__(self, tensor, steps=0):
        self.tensor, self.steps = tensor + 0, steps


class Tagged(Cache):
    """Its context is another object whenever it is made."""


pytree.register_dataclass(Carry, serialized_type_name="test_containers.Carry")
pytree.register_pytree_node(
    Cache, lambda each: ([each.tensor], each.steps), lambda leaves, steps: Cache(leaves[0], steps)
)
pytree.register_pytree_node(Tagged, lambda each: ([each.tensor], object()), lambda leaves, _: Tagged(leaves[0]))


def updates(run, *args, **kwargs):
    (observation,) = observe(run, (Inputs("a call", args, kwargs),), snapshot=None, seed=0)
    assert observation.raised is None
    return {place: (text(each.before), text(each.after), each.owner) for place, each in observation.updates.items()}


def text(leaf):
    if leaf is None:
        return "nothing"
    return leaf.value.tolist() if isinstance(leaf.value, torch.Tensor) else leaf.value


def ones():
    return torch.ones(1)


@pytest.mark.parametrize(
    ("container", "change", "expected"),
    [
        ({"k": ones()}, lambda c: c.update(k=c["k"] + 1), {"args[0]['k']": ([1], [2], "dict")}),
        ({"k": ones()}, lambda c: c.update(new=ones()), {"args[0]['new']": ("nothing", [1], "dict")}),
        ({"k": ones()}, lambda c: c.pop("k"), {"args[0]['k']": ([1], "nothing", "dict")}),
        ({"k": ones(), 3: ones()}, lambda c: c.pop(3), {"args[0][3]": ([1], "nothing", "dict")}),
        ([ones()], lambda c: c.append(torch.zeros(1)), {"args[0][1]": ("nothing", [0], "list")}),
        ([ones(), 5], lambda c: c.clear(), {"args[0][0]": ([1], "nothing", "list"), "args[0][1]": (5, "nothing", "list")}),
        ({"a": ([ones()],)}, lambda c: c["a"][0].append(2), {"args[0]['a'][0][1]": ("nothing", 2, "list")}),
        ({"step": 1, "on": None}, lambda c: c.update(step=2, on=ones()), {"args[0]['step']": (1, 2, "dict"), "args[0]['on']": (None, [1], "dict")}),
        (collections.OrderedDict(k=ones()), lambda c: c.update(k=ones() * 3), {"args[0]['k']": ([1], [3], "OrderedDict")}),
        (collections.defaultdict(list, k=[1]), lambda c: c["k"].append(2), {"args[0]['k'][1]": ("nothing", 2, "list")}),
        (collections.deque([ones()]), lambda c: c.append(7), {"args[0][1]": ("nothing", 7, "deque")}),
        (Carry(ones(), ones()), lambda c: setattr(c, "memory", ones() * 2), {"args[0].memory": ([1], [2], "Carry")}),
        (Cache(ones()), lambda c: setattr(c, "tensor", ones() * 2), {"args[0][0]": ([1], [2], "Cache")}),
        (Cache(ones()), lambda c: setattr(c, "steps", 1), {"args[0]": ("0", "1", "Cache")}),
    ],
)  # fmt: skip
def test_an_update_is_noted_with_what_was_there_and_what_is(container, change, expected):
    assert updates(lambda given: (change(given), torch.zeros(1))[1], container) == expected


def test_the_place_of_a_keyword_is_named():
    assert updates(lambda *, cache: cache.update(k=2) or 0, cache={"k": 1}) == {"kwargs['cache']['k']": (1, 2, "dict")}


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["k"].add_(1),  # seen as a mutation of the input
        lambda c: c.update(k=c["k"]),
        lambda c: c.update(n=1),
        lambda c: dict(c).update(other=1),
        lambda c: c.update(other=1) or c.pop("other"),
    ],
)
def test_what_leaves_the_entries_as_they_were_is_no_update(change):
    assert updates(lambda given: (change(given), 0)[1], {"k": ones(), "n": 1}) == {}


def test_a_context_that_is_made_anew_each_time_is_no_update():
    assert updates(lambda given: given.tensor + 1, Tagged(ones())) == {}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(ZOO))
def test_a_tensor_of_any_kind_is_an_entry(name):
    args = ({"it": ZOO[name]()}, [torch.zeros(1)])
    before = contents_of(args, {})
    assert updates_since(before, {}, args, {}) == {}
    args[1].append(args[0].pop("it"))
    found = updates_since(before, {}, args, {})
    assert {place: (each.before is None, each.after is None) for place, each in found.items()} == {
        "args[0]['it']": (False, True),
        "args[1][1]": (True, False),
    }
