"""Nothing that looks at a tensor raises, writes to it or misses a change, whatever the kind of tensor."""

from __future__ import annotations

import pytest
import torch

from pytest_exportcheck.checks.closeness import Rule
from pytest_exportcheck.checks.compare.tensors import differences, strides, tensor_text, value_difference
from pytest_exportcheck.describe.freeze import frozen
from pytest_exportcheck.describe.modules import state_of
from pytest_exportcheck.describe.resize import at_other_sizes
from pytest_exportcheck.describe.symbols import Symbols
from pytest_exportcheck.fuzz.inputs import is_resizable, resized
from pytest_exportcheck.harness import setup as subject
from pytest_exportcheck.harness.fingerprint import _state_text, _value_text
from pytest_exportcheck.harness.observation import observe
from pytest_exportcheck.harness.snapshot import ModuleSnapshot
from pytest_exportcheck.harness.tensors import (
    as_bytes,
    copy_tree,
    detached_clone,
    differing_elements,
    facts_of,
    has_values,
    leaf_of,
    parts_of,
    same_bits,
    storage_key,
)
from pytest_exportcheck.policy import CLOSE
from pytest_exportcheck.records import DeclaredDim, Inputs
from tests.tensor_zoo import WITHOUT_VALUES, ZOO

pytestmark = pytest.mark.filterwarnings("ignore")

READABLE = sorted(set(ZOO) - WITHOUT_VALUES - {"masked", "zero size", "zero size strided"})
#: Where a test can write into one element of a part, and the tensor shows it.
WRITABLE = [name for name in READABLE if not name.startswith(("sparse", "quantized", "mkldnn", "nested"))]


class Holder(torch.nn.Module):
    """Holds a tensor as state and in a list, and returns it together with its input."""

    def __init__(self, tensor):
        super().__init__()
        if isinstance(tensor, torch.nn.Parameter):
            self.held = tensor
        else:
            self.register_buffer("held", tensor)
        self.kept = [tensor]

    def forward(self, x):
        return self.held, x


@pytest.fixture(params=sorted(ZOO))
def name(request):
    return request.param


@pytest.fixture
def tensor(name):
    return ZOO[name]()


def test_there_are_kinds_enough():
    assert len(ZOO) > 40


def test_facts_storage_and_text(tensor):
    assert facts_of(tensor).type == type(tensor).__name__
    assert storage_key(tensor) == storage_key(tensor)
    assert tensor_text(tensor)
    assert frozen(tensor, Symbols()) == frozen(tensor, Symbols())
    assert _value_text(tensor) == _value_text(tensor)


def test_who_has_values(name, tensor):
    assert has_values(tensor) == (name not in WITHOUT_VALUES | {"masked"})
    assert bool(parts_of(tensor)) == has_values(tensor)


def test_a_clone_holds_the_same(tensor):
    clone = detached_clone(tensor)
    assert same_bits(tensor, clone)
    assert same_bits(clone, tensor)
    assert list(value_difference(tensor, clone, Rule("close", None, CLOSE))) == []


def test_two_of_a_kind_hold_the_same(name, tensor):
    assert same_bits(tensor, ZOO[name]())
    assert list(differences(leaf_of("x", tensor), leaf_of("x", ZOO[name]()), Rule("bits", None, {}))) == []


def test_parts_are_read(tensor):
    for _, part in parts_of(tensor):
        assert differing_elements(part, part.clone() if part.element_size() > 1 else part).numel() == 0
        assert as_bytes(part).dim() == 1
        assert as_bytes(part).storage_offset() % 8 == 0


def test_an_expanded_tensor_is_permuted_in_memory():
    permuted = subject._permute(torch.rand(1, 5).expand(3, 5))
    assert permuted.stride() == (0, 1)


def altered(tensor):
    """Change one byte of the last part of a tensor, in place and in its own memory."""
    with torch.no_grad(), torch._C.DisableTorchFunctionSubclass(), torch.inference_mode(tensor.is_inference()):
        while hasattr(tensor, "__tensor_flatten__"):
            tensor = getattr(tensor, tensor.__tensor_flatten__()[0][-1])
        plain = tensor.detach().as_subclass(torch.Tensor)
        plain = plain.conj() if plain.is_conj() else plain
        storage = plain.untyped_storage()
        place = plain.storage_offset() * plain.element_size() + plain.element_size() - 1
        storage[place] = storage[place] ^ 0b1 if plain.dtype is torch.bool else storage[place] ^ 0b10


@pytest.mark.parametrize("name", WRITABLE)
def test_a_change_is_found_and_put_back(name, tensor):
    module = Holder(tensor)
    snapshot = ModuleSnapshot(module)
    assert snapshot.changed() == {}
    before = detached_clone(tensor)
    digest = list(_state_text({"held": tensor}))
    altered(tensor)
    assert not same_bits(tensor, before)
    assert list(_state_text({"held": tensor})) != digest
    assert {"held", "kept[0]"} <= set(snapshot.changed())
    snapshot.restore()
    assert same_bits(tensor, before)
    assert snapshot.changed() == {}


def test_a_module_that_holds_it_is_looked_at(tensor):
    module = Holder(tensor)
    snapshot = ModuleSnapshot(module)
    assert snapshot.changed() == {}
    assert snapshot.changed_flags() == {}
    assert state_of(module).entries["held"].value is tensor
    again = ModuleSnapshot(module, snapshot.values, by_version=True)
    assert again.changed() == {}
    snapshot.restore()
    again.restore()
    assert module.held is tensor
    copied = subject._deep_copy(module)
    assert copied is None or copied is not module


def test_a_call_with_it_is_observed(tensor):
    module = Holder(tensor)
    call = Inputs("call", (tensor,), {})
    observations = observe(module, (call, call), snapshot=ModuleSnapshot(module), seed=0)
    assert [each.raised for each in observations] == [None, None]
    assert [leaf.place for leaf in observations[0].outputs] == ["output[0]", "output[1]"]
    assert observations[0].inputs == {}
    assert observations[0].state == {}
    assert module.held is tensor


def test_a_copy_of_inputs_has_its_strides(name, tensor):
    (copied,) = copy_tree((tensor,))
    assert same_bits(copied, tensor)
    assert facts_of(copied).stride == facts_of(tensor).stride
    assert facts_of(copied).requires_grad == facts_of(tensor).requires_grad


def test_tensors_that_share_memory_share_it_in_a_copy():
    base = (torch.rand(4, requires_grad=True) * 2).expand(2, 4)
    first, second = copy_tree((base, base[1:]))
    assert storage_key(first) == storage_key(second) != storage_key(base)
    assert first.requires_grad
    assert first.is_leaf


def test_permuting_keeps_strides_and_elements(name, tensor):
    permuted = subject._permute(tensor)
    assert facts_of(permuted).shape == facts_of(tensor).shape
    if permuted is not tensor and name not in ("expanded", "expanded scalar", "overlapping"):
        assert strides(facts_of(permuted)) == strides(facts_of(tensor))
        assert sorted(map(repr, permuted.reshape(-1).tolist())) == sorted(
            map(repr, tensor.detach().as_subclass(torch.Tensor).reshape(-1).tolist())
        )


def test_other_sizes_keep_the_layout(name, tensor):
    if not is_resizable(tensor) or facts_of(tensor).shape[:1] < (2,):
        pytest.skip("has no dim that can be made longer")
    call = Inputs("call", (tensor,), {})
    dim = DeclaredDim(place="args[0]", dim=0, text="d", dynamic=True, root="d")
    longer = at_other_sizes(call, [dim])
    drawn = resized(call, {("args[0]", 0): tensor.shape[0] + 1}, label="drawn", seed=0)
    for made in (longer.args[0], drawn.args[0]):
        if made is tensor:  # without values to repeat
            assert not has_values(tensor)
            continue
        shape = facts_of(tensor).shape
        assert facts_of(made).shape == (shape[0] + 1, *shape[1:])
        after, before = facts_of(made).stride, facts_of(tensor).stride
        assert after is not None
        assert before is not None
        pairs = zip(after, before, shape, strict=True)
        assert all((new == 0) == (old == 0) for new, old, size in pairs if size > 1)
