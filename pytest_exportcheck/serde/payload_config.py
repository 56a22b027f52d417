"""What an archive says of its tensors: the configuration that torch reads too, and what that has no slot for."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias, TypeVar

import msgspec
import torch

from pytest_exportcheck.errors import ArchiveError


class ScalarType(IntEnum):
    """The schema's numbers for dtypes."""

    UINT8 = 1
    INT8 = 2
    INT16 = 3
    INT32 = 4
    INT64 = 5
    FLOAT16 = 6
    FLOAT32 = 7
    FLOAT64 = 8
    COMPLEX32 = 9
    COMPLEX64 = 10
    COMPLEX128 = 11
    BOOL = 12
    BFLOAT16 = 13
    UINT16 = 28
    FLOAT8_E4M3FN = 29
    FLOAT8_E5M2 = 30
    FLOAT8_E4M3FNUZ = 31
    FLOAT8_E5M2FNUZ = 32
    FLOAT8_E8M0FNU = 33
    UINT32 = 34
    UINT64 = 35


class Layout(IntEnum):
    """The schema's numbers for layouts that can be stored."""

    SPARSE_COO = 1
    SPARSE_CSR = 2
    SPARSE_CSC = 3
    SPARSE_BSR = 4
    SPARSE_BSC = 5
    STRIDED = 7


DTYPES: Mapping[ScalarType, torch.dtype] = MappingProxyType(
    {scalar: getattr(torch, scalar.name.lower()) for scalar in ScalarType}
)
SCALAR_TYPES: Mapping[torch.dtype, ScalarType] = MappingProxyType({dtype: scalar for scalar, dtype in DTYPES.items()})
LAYOUTS: Mapping[Layout, torch.layout] = MappingProxyType(
    {layout: getattr(torch, layout.name.lower()) for layout in Layout}
)
LAYOUT_NUMBERS: Mapping[torch.layout, Layout] = MappingProxyType({layout: number for number, layout in LAYOUTS.items()})


class Size(msgspec.Struct, frozen=True):
    """A size, stride or offset; those of a payload are never symbolic."""

    as_int: int


class Device(msgspec.Struct, frozen=True):
    """Where a tensor was."""

    type: str
    index: int | None = None


class TensorMeta(msgspec.Struct, frozen=True):
    """A tensor's view of its storage; the offset and the strides count elements."""

    dtype: ScalarType
    sizes: tuple[Size, ...]
    requires_grad: bool
    device: Device
    strides: tuple[Size, ...]
    storage_offset: Size
    layout: Layout


class PayloadMeta(msgspec.Struct, frozen=True):
    """One tensor or object, and the record that holds it: the bytes of a whole storage, or a pickle."""

    path_name: str
    is_param: bool
    use_pickle: bool
    tensor_meta: TensorMeta | None


class PayloadConfig(msgspec.Struct, frozen=True):
    """The file ``model_weights_config.json`` or ``model_constants_config.json``: name -> payload, in order."""

    config: dict[str, PayloadMeta]


_Structure = TypeVar("_Structure", bound=msgspec.Struct)
Table: TypeAlias = Literal["weights", "constants"]


class Kind(NamedTuple):
    """Where the payloads of one table are: folder, and prefix of the names of tensors."""

    table: Table
    folder: str
    prefix: str

    def config_record(self, model: str) -> str:
        """The name of the record that holds the configuration."""
        return f"{self.folder}{model}_{self.table}_config.json"


WEIGHTS = Kind("weights", "data/weights/", "weight_")
CONSTANTS = Kind("constants", "data/constants/", "tensor_")


class Ref(msgspec.Struct, frozen=True, array_like=True):
    """A tensor by its table and its name there: ``["weights", "linear.bias"]``."""

    table: Table
    name: str


class View(msgspec.Struct, frozen=True):
    """A tensor that the configuration does not have: its record, and the bits that change what its bytes mean."""

    record: str
    meta: TensorMeta
    conj: bool = False
    neg: bool = False


class LazyTensor(msgspec.Struct, frozen=True):
    """A tensor with the conjugate or negative bit, of which the configuration has a plain copy."""

    tensor: Ref
    view: View


class SparseTensor(msgspec.Struct, frozen=True):
    """A sparse tensor by its components: indices and values, or compressed indices, plain indices and values.
    ``position`` is its place in its table, since the configuration lacks it."""

    tensor: Ref
    position: int
    layout: Layout
    sizes: tuple[int, ...]
    components: tuple[View, ...]
    is_coalesced: bool
    is_param: bool
    requires_grad: bool


class AbsentStorage(msgspec.Struct, frozen=True):
    """A storage without bytes, on the meta device or of a fake tensor: its size."""

    nbytes: int
    is_fake: bool


class PayloadExtras(msgspec.Struct, frozen=True):
    """What the configuration has no slot for. ``shared``: names of one and the same tensor. ``copies``: record -> the record
    whose storage it is. Tensors and records that are not mentioned are as the configuration says."""

    shared: tuple[tuple[Ref, ...], ...] = ()
    copies: dict[str, str] = {}
    absent: dict[str, AbsentStorage] = {}
    lazy: tuple[LazyTensor, ...] = ()
    sparse: tuple[SparseTensor, ...] = ()


def decode_config(data: bytes, place: str) -> PayloadConfig:
    """Read a configuration; ``place`` is what messages call it.

    Raises
    ------
    ArchiveError
        Where the bytes are no configuration.
    """
    return _decode(data, PayloadConfig, place)


def decode_extras(data: bytes, place: str) -> PayloadExtras:
    """Read the record of extras; ``place`` is what messages call it.

    Raises
    ------
    ArchiveError
        Where the bytes are no such record.
    """
    return _decode(data, PayloadExtras, place)


def encode(structure: PayloadConfig | PayloadExtras) -> bytes:
    """The JSON of a configuration or of extras."""
    return msgspec.json.encode(structure)


def _decode(data: bytes, kind: type[_Structure], place: str) -> _Structure:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ArchiveError(f"{place} cannot be read: {error}. Save the program again with torch.export.save.") from None
