"""The configuration of an archive's tensors, which torch reads too, and the extras for what the configuration has no
slot for.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import msgspec

from pytest_exportcheck.errors import ArchiveError, SchemaError
from pytest_exportcheck.reference.pt2.json import codec as json_codec
from pytest_exportcheck.reference.pt2.json.fast import read_tagged, write_tagged
from pytest_exportcheck.reference.pt2.schema import Layout, PayloadConfig, TensorMeta

Table: TypeAlias = Literal["weights", "constants"]


class Kind(NamedTuple):
    """The place of the payloads of one table: folder, and prefix of the names of tensors."""

    table: Table
    folder: str
    prefix: str

    def config_record(self, model: str) -> str:
        """Return the name of the record that holds the configuration."""
        return f"{self.folder}{model}_{self.table}_config.json"


WEIGHTS = Kind("weights", "data/weights/", "weight_")
CONSTANTS = Kind("constants", "data/constants/", "tensor_")


class Ref(msgspec.Struct, frozen=True, array_like=True):
    """A tensor by its table and its name there: ``["weights", "linear.bias"]``."""

    table: Table
    name: str


class View(msgspec.Struct, frozen=True):
    """A tensor that the configuration does not have: its record, and the bits that change the meaning of its bytes."""

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
    """The facts that the configuration has no slot for. ``shared``: names of one and the same tensor. ``copies``:
    record -> the record whose storage it is. Tensors and records that are not listed are as the configuration says.
    """

    shared: tuple[tuple[Ref, ...], ...] = ()
    copies: dict[str, str] = {}
    absent: dict[str, AbsentStorage] = {}
    lazy: tuple[LazyTensor, ...] = ()
    sparse: tuple[SparseTensor, ...] = ()


def decode_config(data: bytes, place: str) -> PayloadConfig:
    """Read a configuration; ``place`` is its name in messages.

    Raises
    ------
    SchemaError
        Where the bytes are not a configuration: where in them, expected, got.
    """
    return json_codec.decode(data, PayloadConfig, where=place)[0]


def decode_extras(data: bytes, place: str) -> PayloadExtras:
    """Read the record of extras; ``place`` is its name in messages.

    Raises
    ------
    ArchiveError
        Where the bytes are not such a record.
    """
    try:
        return msgspec.json.decode(data, type=PayloadExtras, dec_hook=read_tagged)
    except (msgspec.MsgspecError, SchemaError, ValueError, RecursionError) as error:
        raise ArchiveError(f"{place} cannot be read: {error}. Save the program again with torch.export.save.") from None


def encode(structure: PayloadConfig | PayloadExtras) -> bytes:
    """Return the JSON of a configuration or of extras."""
    if isinstance(structure, PayloadConfig):
        return json_codec.encode(structure)
    return msgspec.json.encode(structure, enc_hook=write_tagged)
