"""Archives of torch read by ours, and archives of ours read by torch."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from pytest_exportcheck.reference.pt2.archive import ArchiveReader, write_archive
from pytest_exportcheck.reference.pt2.payloads.config import CONSTANTS, WEIGHTS, encode
from pytest_exportcheck.reference.pt2.payloads.store import store
from tests.unit.archives_of import EXTRAS, restored_by_us, saved_by_torch


class Module(torch.nn.Module):
    """Whatever is put on it; its output is its input."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1


def tied() -> torch.nn.Module:
    module = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
    module[1].weight = module[0].weight
    return module


def views() -> torch.nn.Module:
    module, base = Module(), torch.arange(20.0)
    module.register_buffer("one", base[2:8])
    module.register_buffer("other", base[4:16].view(3, 4).t())
    return module


def not_contiguous() -> torch.nn.Module:
    module = Module()
    module.weight = torch.nn.Parameter(torch.rand(3, 4).t())
    module.frozen = torch.nn.Parameter(torch.rand(3, 4)[:, 1:], requires_grad=False)
    return module


class Constants(Module):
    """Constants of three kinds: an attribute, a buffer that is not persistent, one made in forward."""

    def __init__(self) -> None:
        super().__init__()
        self.attribute = torch.rand(3)
        self.register_buffer("passing", torch.rand(3)[1:], persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.attribute + self.passing.sum() + torch.tensor(2.0)


def odd_dtypes() -> torch.nn.Module:
    module = Module()
    module.register_buffer("short_floats", torch.rand(3).bfloat16())
    module.register_buffer("flags", torch.tensor([True, False]))
    module.register_buffer("small", torch.rand(5).to(torch.float8_e4m3fn))
    module.register_buffer("scalar", torch.tensor(3))
    module.register_buffer("nothing", torch.empty(0, 4))
    module.register_buffer("spread", torch.rand(1).expand(4))
    return module


def several_dtypes() -> torch.nn.Module:
    module, base = Module(), torch.arange(6.0)
    module.register_buffer("floats", base)
    module.register_buffer("integers", base.view(torch.int32)[1:])
    return module


MODELS = [tied, views, not_contiguous, Constants, odd_dtypes, several_dtypes]
each_model = pytest.mark.parametrize("make", MODELS, ids=lambda make: str(make.__name__))
Make = Callable[[], torch.nn.Module]


def same(found: torch.Tensor, expected: torch.Tensor) -> bool:
    """Whether two tensors agree in all that torch's archive keeps."""
    return (
        type(found) is type(expected)
        and (found.dtype, found.shape, found.stride(), found.requires_grad)
        == (expected.dtype, expected.shape, expected.stride(), expected.requires_grad)
        and bool(found.storage_offset() == expected.storage_offset())
        and raw(found) == raw(expected)
    )


def raw(tensor: torch.Tensor) -> bytes:
    return bytes(torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage()).tolist())


@each_model
def test_what_torch_saved_is_read(make: Make) -> None:
    program, buffer = saved_by_torch(make(), torch.ones(2, 3))
    found = restored_by_us(buffer)
    assert sorted(found.weights) == sorted(program.state_dict)
    assert sorted(found.constants) == sorted(program.constants)
    for name, tensor in program.state_dict.items():
        assert same(found.weights[name], tensor), name
    for name, tensor in program.constants.items():
        assert same(found.constants[name], tensor), name


def test_tensors_of_a_file_of_torch_share_storage_and_are_two_objects() -> None:
    _, buffer = saved_by_torch(tied(), torch.ones(2, 3))
    found = restored_by_us(buffer).weights
    assert found["0.weight"] is not found["1.weight"]
    assert found["0.weight"].data_ptr() == found["1.weight"].data_ptr()


@each_model
def test_the_configuration_is_the_one_that_torch_writes(make: Make) -> None:
    program, buffer = saved_by_torch(make(), torch.ones(2, 3))
    reader, stored = ArchiveReader(buffer), store(program.state_dict, program.constants)
    for kind, config in ((WEIGHTS, stored.weights), (CONSTANTS, stored.constants)):
        assert json.loads(encode(config)) == json.loads(reader.read(kind.config_record("model")))


@each_model
def test_the_storages_are_the_ones_that_torch_writes(make: Make) -> None:
    program, buffer = saved_by_torch(make(), torch.ones(2, 3))
    reader, stored = ArchiveReader(buffer), store(program.state_dict, program.constants)
    for name, record in stored.records.items():
        assert bytes(record() if callable(record) else record) == reader.read(name)


def rewritten(buffer: io.BytesIO, records: dict[str, Any] | None = None) -> io.BytesIO:
    reader, target = ArchiveReader(buffer), io.BytesIO()
    write_archive(target, {**{name: reader.memory(name) for name in reader.names}, **(records or {})})
    target.seek(0)
    return target


def assert_torch_loads(buffer: io.BytesIO, program: torch.export.ExportedProgram) -> None:
    loaded = torch.export.load(buffer)
    for name, tensor in program.state_dict.items():
        assert same(loaded.state_dict[name], tensor), name
    for name, tensor in program.constants.items():
        assert same(loaded.constants[name], tensor), name
    x = torch.rand(2, 3)
    assert loaded.module()(x).equal(program.module()(x))


@each_model
def test_torch_loads_its_own_records_from_our_archive(make: Make) -> None:
    program, buffer = saved_by_torch(make(), torch.ones(2, 3))
    assert_torch_loads(rewritten(buffer), program)


@each_model
def test_torch_loads_our_payloads(make: Make) -> None:
    program, buffer = saved_by_torch(make(), torch.ones(2, 3))
    stored = store(program.state_dict, program.constants)
    records = {
        **stored.records,
        WEIGHTS.config_record("model"): encode(stored.weights),
        CONSTANTS.config_record("model"): encode(stored.constants),
        EXTRAS: encode(stored.extras),
    }
    assert_torch_loads(rewritten(buffer, records), program)


def test_torch_loads_the_values_of_a_lazy_view() -> None:
    module = Module()
    module.register_buffer("view", torch.tensor([1 + 2j, 3 - 4j]).conj())
    program, buffer = saved_by_torch(module, torch.ones(2, 3))
    stored = store(program.state_dict)
    records = {**stored.records, WEIGHTS.config_record("model"): encode(stored.weights)}
    loaded = torch.export.load(rewritten(buffer, records))
    assert loaded.state_dict["view"].equal(torch.tensor([1 - 2j, 3 + 4j]))


def test_extra_files_of_ours_are_read_by_torch() -> None:
    _, buffer = saved_by_torch(Module(), torch.ones(2, 3))
    extra = {"note": ""}
    torch.export.load(rewritten(buffer, {"extra/note": "né".encode()}), extra_files=extra)
    assert extra == {"note": "né"}


def test_tensors_on_the_meta_device_are_read() -> None:
    module = Module()
    module.register_buffer("a", torch.empty(6, device="meta")[2:])
    module.register_buffer("b", torch.empty(0))
    _, buffer = saved_by_torch(module, torch.ones(2, 3))
    found = restored_by_us(buffer).weights
    assert (found["a"].device.type, found["a"].shape, found["a"].storage_offset()) == ("meta", (4,), 2)
    assert (found["b"].device.type, found["b"].shape) == ("cpu", (0,))


def test_a_fake_weight_is_fake_again() -> None:
    with FakeTensorMode():
        module = torch.nn.Linear(3, 3)
        x = torch.ones(2, 3)
    _, buffer = saved_by_torch(module, x)
    found = restored_by_us(buffer).weights
    assert {(type(tensor), tensor.shape) for tensor in found.values()} == {(FakeTensor, (3, 3)), (FakeTensor, (3,))}
    assert isinstance(found["bias"], torch.nn.Parameter)


def test_eight_threads_restore_one_file_twenty_times_each(tmp_path: Path) -> None:
    program, buffer = saved_by_torch(tied(), torch.ones(2, 3))
    path = tmp_path / "model.pt2"
    path.write_bytes(buffer.read())
    together = threading.Barrier(8)

    def read(_: int) -> bool:
        together.wait()
        found = [restored_by_us(path).weights for _ in range(20)]
        return all(same(weights[name], tensor) for weights in found for name, tensor in program.state_dict.items())

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, range(8))) == [True] * 8
