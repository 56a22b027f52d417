"""Global modes and generators of the process are named where they changed, and put back."""

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
from tests.unit.harness.test_snapshot import CHANGES


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
