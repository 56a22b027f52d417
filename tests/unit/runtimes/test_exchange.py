"""Tensors through a shared file: every dtype, sizes that grow, and what cannot be given to another process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_exportcheck.harness.tensors import same_bits
from pytest_exportcheck.runtimes.exchange import SharedFile, refused_leaf


@pytest.fixture
def both(tmp_path: Path) -> tuple[SharedFile, SharedFile]:
    for name in ("shared", "spill"):
        (tmp_path / name).mkdir()
    one, other = (SharedFile(tmp_path / "shared" / "inputs", tmp_path / "spill") for _ in range(2))
    return one, other


def exchanged(both: tuple[SharedFile, SharedFile], *leaves: Any) -> list[Any]:
    writer, reader = both
    return reader.get(writer.put(leaves))


DTYPES = [
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.uint16,
    torch.int64,
    torch.uint64,
    torch.float16,
    torch.bfloat16,
    torch.float64,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
    torch.float8_e4m3fnuz,
    torch.float8_e8m0fnu,
    torch.complex32,
    torch.complex128,
]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3)], ids=str)
def test_every_dtype_keeps_its_bits(both: tuple[SharedFile, SharedFile], dtype: torch.dtype, shape: Any) -> None:
    tensor = torch.ones(shape).to(dtype)
    (got,) = exchanged(both, tensor)
    assert (got.dtype, got.shape, got.stride()) == (tensor.dtype, tensor.shape, tensor.stride())
    assert got.reshape(-1).view(torch.uint8).tolist() == tensor.reshape(-1).view(torch.uint8).tolist()


def test_a_file_grows_with_what_is_written(both: tuple[SharedFile, SharedFile]) -> None:
    for size in (1, 2_000_000, 5, 3_000_000):
        tensor = torch.arange(size)
        (got,) = exchanged(both, tensor)
        assert same_bits(got, tensor)


def test_a_plain_subclass_and_a_parameter_become_tensors(both: tuple[SharedFile, SharedFile]) -> None:
    class Named(torch.Tensor):
        pass

    got = exchanged(both, torch.ones(3).as_subclass(Named), torch.nn.Parameter(torch.ones(2)))
    assert [type(each) for each in got] == [torch.Tensor, torch.Tensor]
    assert [each.tolist() for each in got] == [[1, 1, 1], [1, 1]]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: torch.eye(3).to_sparse(), "a tensor of layout sparse_coo"),
        (lambda: torch.eye(3).to_sparse_csr(), "a tensor of layout sparse_csr"),
        (lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8), "a quantised tensor (qint8)"),
        (lambda: torch.ones(3, device="meta"), "a meta tensor"),
        (lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), "a nested tensor"),
        (lambda: torch.float32, "a value of type torch.dtype"),
        (lambda: b"x", "a value of type builtins.bytes"),
    ],
)
def test_what_cannot_be_given_is_named(both: tuple[SharedFile, SharedFile], make: Any, said: str) -> None:
    leaf = make()
    assert refused_leaf(leaf) == said
    with pytest.raises(TypeError) as raised:
        exchanged(both, 1, leaf)
    assert str(raised.value) == f"{said} cannot be given to another process"


def test_where_memory_is_full_the_file_is_on_the_disk(
    both: tuple[SharedFile, SharedFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (before,) = exchanged(both, torch.ones(3))
    assert before.tolist() == [1, 1, 1]
    allocate, full = os.posix_fallocate, (tmp_path / "shared" / "inputs").stat().st_ino

    def limited(file: int, offset: int, size: int) -> None:
        if os.fstat(file).st_ino == full:
            raise OSError(28, "No space left on device")
        allocate(file, offset, size)

    monkeypatch.setattr(os, "posix_fallocate", limited)
    for size in (100_000, 200_000):
        tensor = torch.arange(size)
        (got,) = exchanged(both, tensor)
        assert same_bits(got, tensor)
    assert (tmp_path / "shared" / "inputs").resolve() == (tmp_path / "spill" / "inputs").resolve()
