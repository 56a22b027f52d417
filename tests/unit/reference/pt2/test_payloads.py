"""Tensors into an archive and back: each storage once, and all that makes a tensor what it is."""

from __future__ import annotations

import ctypes
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from pytest_exportcheck.errors import PayloadError
from pytest_exportcheck.reference.pt2.archive import ArchiveReader, write_archive
from pytest_exportcheck.reference.pt2.convert.dtypes import DTYPES
from pytest_exportcheck.reference.pt2.payloads.config import WEIGHTS, PayloadExtras, decode_config
from pytest_exportcheck.reference.pt2.payloads.restore import restore
from pytest_exportcheck.reference.pt2.payloads.store import store
from tests.unit.archives_of import archive_of, extras_of, restored_by_us, saved_by_torch, there_and_back, zip_of


def facts(tensor: torch.Tensor) -> dict[str, Any]:
    """All of a strided tensor but its bytes."""
    return {
        "type": type(tensor),
        "dtype": tensor.dtype,
        "shape": tensor.shape,
        "stride": tensor.stride(),
        "offset": tensor.storage_offset(),
        "storage": tensor.untyped_storage().nbytes(),
        "device": tensor.device,
        "requires_grad": tensor.requires_grad,
        "is_leaf": tensor.is_leaf,
        "bits": (tensor.is_conj(), tensor.is_neg()),
    }


def stored_bytes(tensor: torch.Tensor) -> list[int]:
    values: list[int] = torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage()).tolist()
    return values


BASE = torch.arange(24.0)
COMPLEX = torch.tensor([1 + 2j, 3 - 4j])
TENSORS = {
    "whole": BASE,
    "no dimension": torch.tensor(3.5),
    "no elements": torch.empty(0, 3),
    "no elements at the end": BASE[24:],
    "a part": BASE[3:9],
    "every other": BASE[1::2],
    "transposed": BASE.view(4, 6).t(),
    "channels last": torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last),
    "expanded": torch.ones(1).expand(5),
    "overlapping": BASE.as_strided((4, 3), (1, 1), 2),
    "nan": torch.tensor([float("nan"), -0.0, float("inf")]),
    "requires grad": torch.ones(2, requires_grad=True),
    "parameter": torch.nn.Parameter(torch.ones(2)),
    "frozen parameter": torch.nn.Parameter(torch.ones(2), requires_grad=False),
    "parameter of integers": torch.nn.Parameter(torch.arange(3), requires_grad=False),
    "conjugate": COMPLEX.conj(),
    "negative": COMPLEX.conj().imag,
    "conjugate and negative": torch._neg_view(COMPLEX.conj()),
    "conjugate parameter": torch.nn.Parameter(COMPLEX.conj()),
}


@pytest.mark.parametrize("table", ["weights", "constants"])
@pytest.mark.parametrize("tensor", TENSORS.values(), ids=TENSORS)
def test_a_tensor_comes_back_as_it_was(tensor: torch.Tensor, table: str) -> None:
    restored = there_and_back(**{"weights": {}, table: {"a": tensor}})
    found = getattr(restored, table)["a"]
    assert facts(found) == facts(tensor)
    assert stored_bytes(found) == stored_bytes(tensor)


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
def test_every_dtype_of_the_schema_comes_back_bit_for_bit(dtype: torch.dtype) -> None:
    tensor = torch.arange(48, dtype=torch.uint8).view(dtype) if dtype is not torch.bool else torch.tensor([True, False])
    found = there_and_back({"a": tensor}).weights["a"]
    assert facts(found) == facts(tensor)
    assert stored_bytes(found) == stored_bytes(tensor)


def test_names_keep_their_order() -> None:
    tensor = torch.ones(2)
    weights = {"z": tensor, "a, b": torch.eye(2).to_sparse(), "": tensor[1:], "ü": torch.ones(1)}
    assert list(there_and_back(weights).weights) == list(weights)


def test_views_share_their_storage_still() -> None:
    weights = {"one": BASE[:8], "other": BASE.view(4, 6)[:, 2], "alone": BASE.clone()}
    found = there_and_back(weights).weights
    found["one"][2] = -1
    assert (found["other"][0].item(), found["alone"][2].item()) == (-1, 2)
    assert found["one"].untyped_storage() is found["other"].untyped_storage()


def test_each_storage_is_one_record() -> None:
    weights = {"a": BASE, "b": BASE[1:], "c": torch.nn.Parameter(BASE), "d": BASE.clone()}
    assert list(store(weights).records) == ["data/weights/weight_0", "data/weights/weight_1"]


def test_storages_that_torch_made_twice_over_the_same_memory_are_one_record() -> None:
    memory = bytearray(16)
    weights = {name: torch.frombuffer(memory, dtype=torch.float32) for name in "ab"}
    assert list(store(weights).records) == ["data/weights/weight_0"]


def test_empty_storages_are_not_one_storage() -> None:
    found = there_and_back({"a": torch.empty(0), "b": torch.empty(0)}).weights
    found["a"].resize_(2)
    assert found["b"].untyped_storage().nbytes() == 0


def test_what_was_one_tensor_is_one_tensor() -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    found = there_and_back({"a": parameter, "b": parameter, "c": torch.nn.Parameter(parameter)}).weights
    assert found["a"] is found["b"]
    assert found["a"] is not found["c"]
    assert found["a"].data_ptr() == found["c"].data_ptr()


def test_what_was_one_tensor_is_one_across_weights_and_constants() -> None:
    found = there_and_back({"a": BASE}, {"b": BASE, "c": BASE[1:]})
    assert found.weights["a"] is found.constants["b"]
    assert found.constants["c"].untyped_storage() is found.weights["a"].untyped_storage()


def test_views_of_several_dtypes_share_one_storage() -> None:
    found = there_and_back({"a": BASE, "b": BASE.view(torch.int32), "c": BASE.view(torch.int32)[1:]}).weights
    found["b"].zero_()
    assert found["a"].sum().item() == 0
    assert found["c"].untyped_storage() is found["a"].untyped_storage()


def test_torch_gets_a_copy_for_each_dtype_that_a_storage_is_viewed_with() -> None:
    extras = extras_of({"a": BASE, "b": BASE.view(torch.int32)}, {"c": BASE})
    assert extras.copies == {
        "data/weights/weight_1": "data/weights/weight_0",
        "data/constants/tensor_0": "data/weights/weight_0",
    }


def test_plain_tensors_need_no_extras() -> None:
    assert extras_of({"a": BASE, "b": BASE[1:], "c": torch.empty(0)}) == PayloadExtras()


def test_equal_tensors_make_equal_bytes() -> None:
    def archive() -> bytes:
        base = torch.arange(6.0)
        return archive_of(
            {"a": base, "b": base[1:], "c": torch.eye(2).to_sparse()}, {"d": base.view(torch.int32)}
        ).read()

    assert archive() == archive()


def test_a_lazy_view_still_views_its_base() -> None:
    base = COMPLEX.clone()
    found = there_and_back({"base": base, "view": base.conj()}).weights
    found["base"][0] = 7 + 1j
    assert found["view"][0].item() == 7 - 1j


def coo(values: torch.Tensor, is_coalesced: bool) -> torch.Tensor:
    indices = torch.tensor([[0, 1], [1, 2]])
    return torch.sparse_coo_tensor(indices, values, (3, 4), is_coalesced=is_coalesced, check_invariants=True)


DENSE = torch.tensor([[1.0, 0, 2, 0], [0, 0, 0, 0], [0, 3, 0, 4], [5, 0, 0, 6]])
SPARSE = {
    "coo": coo(torch.tensor([1.0, 2.0]), True),
    "not coalesced": coo(torch.tensor([1.0, 2.0]), False),
    "hybrid": DENSE.to_sparse(1),
    "empty": torch.zeros(2, 3).to_sparse(),
    "csr": DENSE.to_sparse_csr(),
    "csc": DENSE.to_sparse_csc(),
    "bsr": DENSE.to_sparse_bsr((2, 2)),
    "bsc": DENSE.to_sparse_bsc((2, 2)),
    "parameter": torch.nn.Parameter(coo(torch.tensor([1.0, 2.0]), False)),
    "requires grad": coo(torch.tensor([1.0, 2.0]), False).requires_grad_(),
}


@pytest.mark.parametrize("tensor", SPARSE.values(), ids=SPARSE)
def test_a_sparse_tensor_comes_back_as_it_was(tensor: torch.Tensor) -> None:
    found = there_and_back({"a": tensor}).weights["a"]
    assert (type(found), found.layout, found.shape, found.dtype) == (
        type(tensor),
        tensor.layout,
        tensor.shape,
        tensor.dtype,
    )
    assert (found.requires_grad, found.dense_dim()) == (tensor.requires_grad, tensor.dense_dim())
    assert found.to_dense().equal(tensor.to_dense())
    if tensor.layout is torch.sparse_coo:
        assert (found.is_coalesced(), found._nnz()) == (tensor.is_coalesced(), tensor._nnz())


def test_a_component_that_is_a_weight_too_is_so_still() -> None:
    values = torch.tensor([1.0, 2.0])
    found = there_and_back({"values": values, "sparse": coo(values, False)}).weights
    found["values"][0] = 9
    assert found["sparse"].to_dense()[0, 1].item() == 9


def test_tensors_on_the_meta_device_keep_their_views() -> None:
    base = torch.empty(10, device="meta")
    found = there_and_back({"a": base[2:4], "b": base, "c": torch.empty(10, device="meta")}).weights
    assert facts(found["a"]) == facts(base[2:4])
    assert found["a"].untyped_storage() is found["b"].untyped_storage()
    assert found["c"].untyped_storage() is not found["b"].untyped_storage()


def test_fake_tensors_come_back_in_the_mode_that_is_given() -> None:
    with FakeTensorMode():
        base = torch.empty(10, 2)
        weights = {"a": base, "b": base.t(), "c": torch.nn.Parameter(torch.empty(3)), "d": torch.empty(0)}
    mode = FakeTensorMode()
    found = there_and_back(weights, fake_mode=mode).weights
    for name, tensor in weights.items():
        assert isinstance(found[name], FakeTensor)
        assert found[name].fake_mode is mode
        assert facts(found[name]) == facts(tensor)
    assert found["a"].untyped_storage() is found["b"].untyped_storage()
    assert isinstance(found["c"], torch.nn.Parameter)


def test_fake_tensors_come_back_in_one_mode_where_none_is_given() -> None:
    with FakeTensorMode():
        weights = {"a": torch.empty(2), "b": torch.empty(3)}
    found = there_and_back(weights).weights
    assert found["a"].fake_mode is found["b"].fake_mode


class Marked(torch.Tensor):
    """A subclass of tensors."""


def marked_module() -> torch.nn.Module:
    module = torch.nn.Linear(2, 2)
    module.register_buffer("marked", torch.ones(2).as_subclass(Marked))
    return module


def nested() -> torch.Tensor:
    return torch.nested.nested_tensor([torch.ones(1), torch.ones(2)], layout=torch.jagged)


REFUSED: dict[str, tuple[Any, str]] = {
    "quantized": (
        torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
        "it is quantized by torch.quantize, whose scales the schema cannot hold. Dequantize it.",
    ),
    "subclass": (
        torch.ones(2).as_subclass(Marked),
        "it is a tensor of the class Marked, which is more than its bytes. Unwrap it.",
    ),
    "nested": (nested(), "it is a tensor of the class NestedTensor, which is more than its bytes. Unwrap it."),
    "opaque": (
        torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]),
        "it is nested, or opaque to torch itself. Save it as a strided tensor.",
    ),
    "object": (3, "it is of the class int, neither a tensor nor a script object nor opaque."),
    "dtype": (
        torch.zeros(2, dtype=torch.float4_e2m1fn_x2),
        "the schema has no number for its dtype torch.float4_e2m1fn_x2. Cast it.",
    ),
}


@pytest.mark.parametrize(("value", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_can_be_no_payload_is_refused(value: Any, reason: str) -> None:
    with pytest.raises(PayloadError) as caught:
        store({}, {"a": value})
    assert str(caught.value) == f"constants: 'a' cannot be saved: {reason}"


def test_a_payload_that_torch_pickled_is_not_read_without_trust() -> None:
    _, buffer = saved_by_torch(marked_module(), torch.ones(1, 2))
    with pytest.raises(PayloadError) as caught:
        restored_by_us(buffer)
    assert str(caught.value) == (
        "the BytesIO: weights 'marked' is pickled (record 'data/weights/weight_0'), and reading a pickle can run code from the "
        "file. If you trust the source of the file, pass trust=True."
    )


def test_a_payload_that_torch_pickled_is_read_with_trust() -> None:
    _, buffer = saved_by_torch(marked_module(), torch.ones(1, 2))
    reader = ArchiveReader(buffer)
    config = decode_config(reader.read(WEIGHTS.config_record("model")), "weights")
    found = restore(reader, config, trust=True).weights["marked"]
    assert (type(found), found.tolist()) == (Marked, [1, 1])


@pytest.fixture(scope="module")
def script_object() -> Any:
    if "fbgemm" not in torch.backends.quantized.supported_engines:
        pytest.skip("torch has no class of script objects that this machine can make")
    weight = torch.quantize_per_tensor(torch.rand(3, 4), 0.1, 0, torch.qint8)
    return torch.ops.quantized.linear_prepack(weight, None)


def test_a_script_object_comes_back_with_trust(script_object: Any) -> None:
    found = there_and_back({}, {"a": script_object, "b": script_object}, trust=True).constants
    assert found["a"] is found["b"]
    weights = [torch.ops.quantized.linear_unpack(each)[0] for each in (found["a"], script_object)]
    assert weights[0].equal(weights[1])


def test_a_script_object_is_not_read_without_trust(script_object: Any) -> None:
    with pytest.raises(PayloadError, match="pass trust=True"):
        there_and_back({}, {"a": script_object})


def test_writing_to_a_tensor_over_a_file_changes_no_file(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    stored = store({"a": torch.ones(1000)})
    write_archive(path, stored.records)
    before, reader = path.read_bytes(), ArchiveReader(path)
    found = restore(reader, stored.weights).weights["a"]
    address = torch.frombuffer(reader.memory("data/weights/weight_0"), dtype=torch.uint8).data_ptr()
    assert found.data_ptr() == address
    found.zero_()
    assert path.read_bytes() == before
    del reader
    path.unlink()
    assert found.sum().item() == 0


def test_a_payload_that_another_tool_left_unaligned_is_copied_to_an_aligned_address() -> None:
    stored = store({"a": torch.arange(3, dtype=torch.int64)})
    buffer = io.BytesIO()
    write_archive(buffer, stored.records)
    with zipfile.ZipFile(buffer) as archive:
        reader = ArchiveReader(io.BytesIO(zip_of([(name, archive.read(name)) for name in archive.namelist()])))
    payload = reader.memory("data/weights/weight_0")
    assert ctypes.addressof(ctypes.c_char.from_buffer(payload)) % 64 != 0
    found = restore(reader, stored.weights).weights["a"]
    assert (found.data_ptr() % 64, found.tolist()) == (0, [0, 1, 2])
