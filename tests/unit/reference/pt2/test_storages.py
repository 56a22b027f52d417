"""Storages as bytes: nothing is copied, and nothing is freed too soon."""

from __future__ import annotations

import torch

from pytest_exportcheck.reference.pt2.payloads.storages import bytes_of, storage_over


def test_the_bytes_of_a_storage_are_its_own() -> None:
    tensor = torch.zeros(3, dtype=torch.uint8)
    memory = bytes_of(tensor.untyped_storage())
    tensor[1] = 7
    assert bytes(memory) == b"\0\7\0"


def test_the_bytes_of_a_storage_outlive_it() -> None:
    memory = bytes_of(torch.full((256,), 7, dtype=torch.uint8).untyped_storage())
    others = [torch.zeros(256, dtype=torch.uint8) for _ in range(100)]
    assert bytes(memory) == b"\7" * 256
    assert len(others) == 100


def test_the_bytes_of_an_empty_storage_are_none() -> None:
    assert bytes(bytes_of(torch.empty(0).untyped_storage())) == b""


def test_a_storage_over_memory_keeps_it() -> None:
    storage = storage_over(memoryview(bytearray(b"\7" * 256)))
    others = [bytearray(256) for _ in range(100)]
    assert bytes(bytes_of(storage)) == b"\7" * 256
    assert len(others) == 100
