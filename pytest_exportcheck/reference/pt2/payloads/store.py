"""The writer of weights and constants: records of an archive, each storage once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import torch

from pytest_exportcheck.errors import PayloadError
from pytest_exportcheck.reference._torch.values import FakeTensor
from pytest_exportcheck.reference.pt2.archive import Record
from pytest_exportcheck.reference.pt2.convert.dtypes import LAYOUT_NUMBERS
from pytest_exportcheck.reference.pt2.payloads.config import (
    CONSTANTS,
    WEIGHTS,
    AbsentStorage,
    Kind,
    LazyTensor,
    PayloadExtras,
    Ref,
    SparseTensor,
    View,
)
from pytest_exportcheck.reference.pt2.payloads.pickles import is_pickled, pickled
from pytest_exportcheck.reference.pt2.payloads.sparse import components_of
from pytest_exportcheck.reference.pt2.payloads.storages import bytes_of, meta_of
from pytest_exportcheck.reference.pt2.schema import PayloadConfig, PayloadMeta


@dataclass(frozen=True)
class StoredPayloads:
    """Two configurations, the extras that they have no slot for, and the records that they refer to."""

    weights: PayloadConfig
    constants: PayloadConfig
    extras: PayloadExtras
    records: Mapping[str, Record]


def store(
    weights: Mapping[str, object],
    constants: Mapping[str, object] | None = None,
    numbers: Counter[str] | None = None,
) -> StoredPayloads:
    """Plan how to write tensors and script objects; nothing is copied before the records are written.

    A storage is one record, whole, however many tensors view it. A second record of the same bytes is made only where
    torch's reader needs one: for a view of another dtype, and for a constant that shares with a weight. ``restore``
    unites both into one storage with the extras. ``numbers`` counts the records of the programs of one archive.

    Raises
    ------
    PayloadError
        For a value that cannot be a payload: a quantized, nested or opaque tensor, a subclass, another object.
    """
    shelf = _Shelf(numbers=Counter() if numbers is None else numbers)
    configs = [_stored(shelf, kind, values) for kind, values in ((WEIGHTS, weights), (CONSTANTS, constants or {}))]
    shared = tuple(tuple(refs) for refs in shelf.refs.values() if len(refs) > 1)
    extras = PayloadExtras(shared, shelf.copies, shelf.absent, tuple(shelf.lazy), tuple(shelf.sparse))
    return StoredPayloads(configs[0], configs[1], extras, shelf.records)


@dataclass
class _Shelf:
    """The values that have been stored so far. Storages and tensors that are keyed by identity are held, so that the
    identity stays theirs.
    """

    numbers: Counter[str]
    records: dict[str, Record] = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)
    absent: dict[str, AbsentStorage] = field(default_factory=dict)
    lazy: list[LazyTensor] = field(default_factory=list)
    sparse: list[SparseTensor] = field(default_factory=list)
    refs: dict[int, list[Ref]] = field(default_factory=dict)
    _held: list[object] = field(default_factory=list)
    _first: dict[object, str] = field(default_factory=dict)
    _torch: dict[tuple[object, Kind, torch.dtype], str] = field(default_factory=dict)

    def refer(self, value: object, ref: Ref) -> None:
        """Note one more name of an object."""
        self._held.append(value)
        self.refs.setdefault(id(value), []).append(ref)

    def record_for_torch(self, kind: Kind, tensor: torch.Tensor) -> str:
        """Return the record of a tensor's storage in which torch's reader finds it: one in this folder, first viewed
        so.
        """
        key = self._key(tensor)
        known = self._torch.get((key, kind, tensor.dtype))
        if known is not None:
            return known
        name = self._add(kind, tensor)
        self._torch[key, kind, tensor.dtype] = name
        if self._first.setdefault(key, name) != name:
            self.copies[name] = self._first[key]
        return name

    def record(self, kind: Kind, tensor: torch.Tensor) -> str:
        """Return any record of a tensor's storage."""
        return self._first.get(self._key(tensor)) or self.record_for_torch(kind, tensor)

    def add(self, folder: str, prefix: str, record: Record) -> str:
        """Return a new record under the next free name."""
        number = self.numbers[folder + prefix]
        self.numbers[folder + prefix] += 1
        name = f"{folder}{prefix}{number}"
        self.records[name] = record
        return name

    def _add(self, kind: Kind, tensor: torch.Tensor) -> str:
        storage = tensor.untyped_storage()
        if not (isinstance(tensor, FakeTensor) or tensor.is_meta):
            return self.add(kind.folder, kind.prefix, partial(bytes_of, storage))
        name = self.add(kind.folder, kind.prefix, b"")  # as torch does
        self.absent[name] = AbsentStorage(int(storage.nbytes()), isinstance(tensor, FakeTensor))
        return name

    def _key(self, tensor: torch.Tensor) -> object:
        """Return a key that tensors over the same memory have in common, also where each has a separate storage
        object.
        """
        storage = tensor.untyped_storage()
        self._held.append(storage)
        if isinstance(tensor, FakeTensor) or tensor.is_meta or not storage.nbytes():
            return id(storage)
        return tensor.device, storage.data_ptr(), storage.nbytes()


def _stored(shelf: _Shelf, kind: Kind, values: Mapping[str, object]) -> PayloadConfig:
    config = {}
    for position, (name, value) in enumerate(values.items()):
        ref, place = Ref(kind.table, name), f"{kind.table}: {name!r}"
        shelf.refer(value, ref)
        if is_pickled(value):
            record = shelf.add(kind.folder, *pickled(value, place))
            config[name] = PayloadMeta(
                path_name=record.removeprefix(kind.folder), is_param=False, use_pickle=True, tensor_meta=None
            )
            continue
        tensor = _storable(value, place)
        if tensor.layout is not torch.strided:
            shelf.sparse.append(_sparse(shelf, kind, tensor, ref, position, place))
            continue
        if tensor.is_conj() or tensor.is_neg():
            shelf.lazy.append(LazyTensor(ref, _view(shelf, kind, tensor, place)))
            tensor = _resolved(tensor)
        path = shelf.record_for_torch(kind, tensor).removeprefix(kind.folder)
        config[name] = PayloadMeta(
            path_name=path,
            is_param=isinstance(value, torch.nn.Parameter),
            use_pickle=False,
            tensor_meta=meta_of(tensor, place),
        )
    return PayloadConfig(config=config)


def _storable(value: object, place: str) -> torch.Tensor:
    """Return the value as a tensor that has components or a storage.

    Raises
    ------
    PayloadError
        For a value that is not such a tensor.
    """
    if not isinstance(value, torch.Tensor):
        reason = f"it is of the class {type(value).__name__}, neither a tensor nor a script object nor opaque"
    elif type(value) not in (torch.Tensor, torch.nn.Parameter) and not isinstance(value, FakeTensor):
        reason = f"it is a tensor of the class {type(value).__name__}, which is more than its bytes. Unwrap it"
    elif value.is_quantized:
        reason = "it is quantized by torch.quantize, whose scales the schema cannot hold. Dequantize it"
    elif value.is_nested or value.layout not in LAYOUT_NUMBERS:
        reason = "it is nested, or opaque to torch itself. Save it as a strided tensor"
    else:
        return value
    raise PayloadError(f"{place} cannot be saved: {reason}.")


def _resolved(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor of the same values without conjugate and negative bit."""
    return tensor.detach().resolve_conj().resolve_neg().requires_grad_(tensor.requires_grad)


def _view(shelf: _Shelf, kind: Kind, tensor: torch.Tensor, place: str) -> View:
    record = shelf.record(kind, tensor)
    return View(record, meta_of(tensor, place), conj=tensor.is_conj(), neg=tensor.is_neg())


def _sparse(shelf: _Shelf, kind: Kind, tensor: torch.Tensor, ref: Ref, position: int, place: str) -> SparseTensor:
    is_coalesced = tensor.layout is torch.sparse_coo and tensor.is_coalesced()
    views = tuple(_view(shelf, kind, component, place) for component in components_of(tensor.detach()))
    is_param = isinstance(tensor, torch.nn.Parameter)
    layout, sizes = LAYOUT_NUMBERS[tensor.layout], tuple(tensor.shape)
    return SparseTensor(ref, position, layout, sizes, views, is_coalesced, is_param, tensor.requires_grad)
