"""Configurations and extras that describe what cannot be are refused, with what is wrong and where."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest
import torch

from pytest_exportcheck.errors import ArchiveError, PayloadError, SchemaError
from pytest_exportcheck.reference.pt2.archive import ArchiveReader, write_archive
from pytest_exportcheck.reference.pt2.payloads.config import (
    AbsentStorage,
    LazyTensor,
    PayloadExtras,
    Ref,
    SparseTensor,
    View,
    decode_config,
    decode_extras,
    encode,
)
from pytest_exportcheck.reference.pt2.payloads.restore import RestoredPayloads, restore
from pytest_exportcheck.reference.pt2.payloads.store import store
from pytest_exportcheck.reference.pt2.schema import (
    Device,
    Layout,
    PayloadConfig,
    PayloadMeta,
    ScalarType,
    SymExpr,
    SymInt,
    TensorMeta,
)
from tests.unit.archives_of import there_and_back

AGAIN = "Download or save the file again."
STORED = store({"a": torch.arange(4.0), "b": torch.arange(3)})
RECORD = "data/weights/weight_0"
REF = Ref("weights", "a")


def sizes(*numbers: int) -> list[SymInt]:
    return [SymInt("as_int", number) for number in numbers]


def entry(path: str, is_param: bool, use_pickle: bool, meta: TensorMeta | None) -> PayloadMeta:
    return PayloadMeta(path_name=path, is_param=is_param, use_pickle=use_pickle, tensor_meta=meta)


META = TensorMeta(
    dtype=ScalarType.FLOAT,
    sizes=sizes(4),
    requires_grad=False,
    device=Device(type="cpu"),
    strides=sizes(1),
    storage_offset=SymInt("as_int", 0),
    layout=Layout.Strided,
)


def restored(
    config: PayloadConfig = STORED.weights, extras: PayloadExtras | None = None, **records: bytes
) -> RestoredPayloads:
    buffer = io.BytesIO()
    write_archive(buffer, {**STORED.records, **{f"data/weights/{name}": data for name, data in records.items()}})
    buffer.seek(0)
    return restore(ArchiveReader(buffer), config, extras=extras)


def refusal(config: PayloadConfig = STORED.weights, extras: PayloadExtras | None = None, **records: bytes) -> str:
    with pytest.raises(ArchiveError) as caught:
        restored(config, extras, **records)
    return str(caught.value)


def config_with(path: str = "weight_0", **changes: Any) -> PayloadConfig:
    """The configuration of one tensor, with other facts."""
    return PayloadConfig(config={"a": entry(path, False, False, msgspec.structs.replace(META, **changes))})


def test_the_tensor_that_is_spoiled_below_is_a_good_one() -> None:
    assert restored(config_with()).weights["a"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("changes", "needed"),
    [
        ({"sizes": sizes(5)}, 20),
        ({"strides": sizes(2)}, 28),
        ({"storage_offset": SymInt("as_int", 1)}, 20),
        ({"dtype": ScalarType.COMPLEXDOUBLE}, 64),
        ({"sizes": sizes(2**31, 2**31), "strides": sizes(1, 1)}, 4 * (2**32 - 1)),
    ],
)
def test_a_tensor_that_reaches_beyond_its_record_is_refused(changes: dict[str, Any], needed: int) -> None:
    assert refusal(config_with(**changes)) == (
        f"the BytesIO: weights 'a' is damaged: it needs {needed} bytes of storage, but the record "
        f"'data/weights/weight_0' has 16. {AGAIN}"
    )


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((-1,), (1,), 0),
        ((4,), (-1,), 3),
        ((4,), (1,), -1),
        ((4,), (1, 1), 0),
        ((4, 1), (1,), 0),
        ((2**62, 2**62), (0, 0), 0),
        ((0, 2**63), (1, 1), 0),
        ((4,), (2**62,), 0),
    ],
)
def test_sizes_that_no_tensor_has_are_refused(shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> None:
    config = config_with(sizes=sizes(*shape), strides=sizes(*strides), storage_offset=SymInt("as_int", offset))
    assert refusal(config) == (
        f"the BytesIO: weights 'a' is damaged: no tensor has sizes {list(shape)}, strides {list(strides)} and storage "
        f"offset {offset}. {AGAIN}"
    )


@pytest.mark.parametrize("path", ["weight_9", "../weights/weight_0", "/etc/passwd"])
def test_a_record_that_is_not_there_is_named(path: str) -> None:
    assert refusal(config_with(path)) == f"the BytesIO has no record 'data/weights/{path}'. Save the program again."


def test_a_sparse_layout_in_the_configuration_is_refused() -> None:
    assert refusal(config_with(layout=Layout.SparseCoo)) == (
        "the BytesIO: weights 'a' is damaged: its layout is SparseCoo, but only strided tensors are stored this way. "
        + AGAIN
    )


def test_integers_that_require_a_gradient_are_refused() -> None:
    config = PayloadConfig(config={"a": entry("weight_1", True, False, STORED.weights.config["b"].tensor_meta)})
    assert restored(config).weights["a"].requires_grad is False
    meta = msgspec.structs.replace(META, dtype=ScalarType.INT, requires_grad=True)
    assert refusal(PayloadConfig(config={"a": entry("weight_0", True, False, meta)})) == (
        "the BytesIO: weights 'a' is damaged: torch cannot create its tensor: "
        f"Only Tensors of floating point and complex dtype can require gradients. {AGAIN}"
    )


def test_a_payload_that_is_neither_pickle_nor_tensor_is_refused() -> None:
    assert refusal(PayloadConfig(config={"a": entry("weight_0", False, False, None)})) == (
        f"the BytesIO: weights 'a' is damaged: it is not a pickle and has no tensor_meta. {AGAIN}"
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device that should lack")
def test_a_device_that_this_machine_lacks_is_named() -> None:
    with pytest.raises(PayloadError) as caught:
        restored(config_with(device=Device("cuda", 3)))
    first, _, last = str(caught.value).rpartition(": ")
    assert first == "the BytesIO: weights 'a' was saved on cuda:3, which is not available here"
    assert last.endswith("Load it on a machine with that device, or save it from the CPU.")


def test_a_record_without_bytes_is_no_fake_tensor_where_the_extras_do_not_say_so() -> None:
    assert refusal(config_with("weight_7"), PayloadExtras(), weight_7=b"") == (
        "the BytesIO: weights 'a' is damaged: it needs 16 bytes of storage, but the record "
        f"'data/weights/weight_7' has 0. {AGAIN}"
    )


def test_a_real_tensor_is_never_made_of_memory_that_the_file_does_not_have() -> None:
    extras = PayloadExtras(absent={RECORD: AbsentStorage(2**40, is_fake=False)})
    assert refusal(config_with(sizes=sizes(2**38)), extras).startswith(
        "the BytesIO: weights 'a' is damaged: torch cannot create its tensor: "
    )


@pytest.mark.parametrize("nbytes", [-1, 15, 2**63, 2**200])
def test_an_absent_storage_of_no_size_that_fits_is_refused(nbytes: int) -> None:
    extras = PayloadExtras(absent={RECORD: AbsentStorage(nbytes, is_fake=True)})
    assert refusal(config_with(), extras).startswith("the BytesIO: weights 'a' is damaged: ")


def test_a_copy_that_has_other_bytes_is_refused() -> None:
    extras = PayloadExtras(copies={"data/weights/weight_1": RECORD})
    assert refusal(STORED.weights, extras) == (
        "the BytesIO: weights 'b' is damaged: the record 'data/weights/weight_1' should be a copy of "
        f"'data/weights/weight_0', but has other bytes. {AGAIN}"
    )


def test_one_tensor_of_two_kinds_is_refused() -> None:
    extras = PayloadExtras(shared=((REF, Ref("weights", "b")),))
    assert refusal(extras=extras) == (
        f"the BytesIO: weights 'b' is damaged: it should be the same object as weights 'a', but is of another kind. {AGAIN}"
    )


@pytest.mark.parametrize(
    "extras",
    [
        PayloadExtras(shared=((REF, Ref("constants", "z")),)),
        PayloadExtras(lazy=(LazyTensor(Ref("constants", "z"), View(RECORD, META)),)),
    ],
)
def test_extras_of_a_tensor_that_is_not_there_are_refused(extras: PayloadExtras) -> None:
    assert refusal(extras=extras) == (f"the BytesIO: constants 'z' is damaged: it is referenced but missing. {AGAIN}")


def test_no_group_at_all_shares_nothing() -> None:
    assert list(restored(extras=PayloadExtras(shared=((), (REF,)))).weights) == ["a", "b"]


def sparse(name: str = "s", indices: int = 2, parts: int = 2, **changes: Any) -> PayloadExtras:
    """Extras with a sparse vector of four elements, whose indices are all one number."""
    meta = msgspec.structs.replace(META, dtype=ScalarType.LONG, sizes=sizes(1, 2), strides=sizes(2, 1))
    components = (View("data/weights/indices", meta), View(RECORD, msgspec.structs.replace(META, sizes=sizes(2))))
    tensor = SparseTensor(Ref("weights", name), 0, Layout.SparseCoo, (4,), components[:parts], False, False, False)
    return PayloadExtras(sparse=(msgspec.structs.replace(tensor, **changes),))


def index(number: int) -> bytes:
    return number.to_bytes(8, "little", signed=True) * 2


def test_the_sparse_tensor_that_is_spoiled_below_is_a_good_one() -> None:
    assert restored(extras=sparse(), indices=index(3)).weights["s"].to_dense().tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("extras", "number"),
    [
        (sparse(), 4),
        (sparse(), -1),
        (sparse(sizes=(-4,)), 0),
        (sparse(sizes=(4, 4)), 0),
        (sparse(is_coalesced=True), 0),
        (sparse(layout=Layout.SparseCsr), 0),
        (sparse(parts=1), 0),
        (sparse(layout=Layout.Strided), 0),
    ],
)
def test_components_that_make_no_sparse_tensor_are_refused(extras: PayloadExtras, number: int) -> None:
    assert refusal(extras=extras, indices=index(number)).startswith(
        "the BytesIO: weights 's' is damaged: torch cannot create its tensor: "
    )


def test_a_place_beyond_the_end_of_the_table_is_its_end() -> None:
    found = restored(extras=sparse(position=2**63), indices=index(3)).weights
    assert list(found) == ["a", "b", "s"]


def test_a_sparse_tensor_that_is_there_already_is_refused() -> None:
    assert (
        refusal(extras=sparse("a"), indices=index(0))
        == f"the BytesIO: weights 'a' is damaged: it is listed twice. {AGAIN}"
    )


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"config": {"a": 1}}', b"\xff", b"[" * 10**5])
def test_what_is_no_configuration_is_refused(data: bytes) -> None:
    with pytest.raises(SchemaError) as caught:
        decode_config(data, "model.pt2: the weights' configuration")
    assert str(caught.value).startswith("model.pt2: the weights' configuration: $")
    assert str(caught.value).endswith(". The file is damaged or its writer is at fault: save the program again.")


@pytest.mark.parametrize(
    "changes", [(b'"dtype": 7', b'"dtype": 99'), (b'"as_int": 4', b'"as_expr": {}'), (b"0}", b"0.5}")]
)
def test_a_configuration_with_what_no_payload_has_is_refused(changes: tuple[bytes, bytes]) -> None:
    with pytest.raises(SchemaError):
        decode_config(encode(STORED.weights).replace(*changes), "weights")


def test_a_size_that_is_a_symbol_is_refused() -> None:
    symbol = SymInt("as_expr", SymExpr(expr_str="Symbol('s0')"))
    assert refusal(config_with(sizes=[symbol])) == (
        "the BytesIO: weights 'a' is damaged: its size Symbol('s0') is a symbol, but a stored tensor has fixed sizes. "
        + AGAIN
    )


def test_a_field_of_a_newer_schema_is_passed_over() -> None:
    data = encode(STORED.weights).replace(b'"use_pickle"', b'"new":[1],"use_pickle"')
    assert decode_config(data, "weights") == STORED.weights


def test_extras_are_read_as_they_were_written() -> None:
    extras = store(
        {"a": torch.ones(2), "b": torch.eye(2).to_sparse(), "c": torch.ones(1, dtype=torch.complex64).conj()}
    ).extras
    assert decode_extras(encode(extras), "extras") == extras


def test_what_is_no_record_of_extras_is_refused() -> None:
    with pytest.raises(ArchiveError) as caught:
        decode_extras(b'{"shared": 1}', "model.pt2: the extras")
    assert str(caught.value) == (
        "model.pt2: the extras cannot be read: Expected `array`, got `int` - at `$.shared`. "
        "Save the program again with torch.export.save."
    )


def test_an_empty_table_is_an_empty_table() -> None:
    assert there_and_back({}).weights == {}
