"""The reader of weights and constants: the records of an archive as the same tensors, over the file's own bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from pytest_exportcheck.errors import SerializationError
from pytest_exportcheck.reference._torch.values import FakeTensorMode, negative_view
from pytest_exportcheck.reference.pt2.archive import ArchiveReader
from pytest_exportcheck.reference.pt2.archive.zip_format import damaged
from pytest_exportcheck.reference.pt2.payloads.config import (
    CONSTANTS,
    WEIGHTS,
    AbsentStorage,
    Kind,
    LazyTensor,
    PayloadExtras,
    Ref,
    SparseTensor,
    Table,
    View,
)
from pytest_exportcheck.reference.pt2.payloads.pickles import unpickled
from pytest_exportcheck.reference.pt2.payloads.sparse import sparse_of
from pytest_exportcheck.reference.pt2.payloads.storages import (
    TORCH_REFUSALS,
    reach,
    refused,
    storage_on,
    storage_over,
    storage_without_data,
    view_of,
)
from pytest_exportcheck.reference.pt2.schema import Device, Layout, PayloadConfig, PayloadMeta, TensorMeta

_REPEATED = 64
"""How many times as large as its storage a component of a sparse tensor may be: all its elements are looked at."""

_Tables: TypeAlias = Mapping[Kind, Mapping[str, PayloadMeta]]
_Values: TypeAlias = dict[Table, dict[str, Any]]


@dataclass(frozen=True)
class RestoredPayloads:
    """The restored values: name -> tensor or script object, in the order of the file."""

    weights: dict[str, Any]
    constants: dict[str, Any]


def restore(
    reader: ArchiveReader,
    weights: PayloadConfig,
    constants: PayloadConfig | None = None,
    extras: PayloadExtras | None = None,
    *,
    trust: bool = False,
    fake_mode: FakeTensorMode | None = None,
) -> RestoredPayloads:
    """Make the tensors of an archive. Those on the CPU use the mapping of the file, where writing to them changes no
    file.

    Without ``extras``, as in files that torch wrote, tensors share storage as the configurations say, and each name has
    a separate tensor. A record without bytes, which torch writes for a fake tensor, makes a fake one, of ``fake_mode``
    or of a new mode. With ``trust``, pickled payloads are read, which may run code from the file.

    Raises
    ------
    ArchiveError
        Where the archive lacks a record, or a configuration or the extras contradict the archive.
    PayloadError
        Where a tensor was on a device that this machine lacks, or where a payload is pickled and ``trust`` is False.
    """
    tables = {WEIGHTS: weights.config, CONSTANTS: constants.config if constants else {}}
    storages = _Storages(reader, tables, extras, fake_mode)
    values: _Values = {
        kind.table: {name: _payload(storages, kind, name, meta, trust) for name, meta in table.items()}
        for kind, table in tables.items()
    }
    if extras is not None:
        _put_lazy(storages, values, extras.lazy)
        _put_sparse(storages, values, extras.sparse)
        _unite(reader.label, values, extras.shared)
    return RestoredPayloads(values["weights"], values["constants"])


class _Storages:
    """The storages of an archive, each made once."""

    def __init__(
        self, reader: ArchiveReader, tables: _Tables, extras: PayloadExtras | None, fake_mode: FakeTensorMode | None
    ) -> None:
        self.reader = reader
        self._copies = extras.copies if extras else {}
        self._absent = _guessed_absent(reader, tables) if extras is None else extras.absent
        self._fake_mode = fake_mode
        self._made: dict[tuple[str, Device], torch.UntypedStorage] = {}

    def tensor(self, record: str, meta: TensorMeta, place: str) -> torch.Tensor:
        """Return a strided tensor without gradient, over the storage of a record.

        Raises
        ------
        ArchiveError, PayloadError
            As ``restore``.
        """
        if meta.layout is not Layout.Strided:
            raise damaged(place, f"its layout is {meta.layout.name}, but only strided tensors are stored this way")
        record = self._origin(record, place)
        absent = self._absent.get(record)
        size, _ = self.reader.checksum(record)
        needed, there = reach(meta, place), absent.nbytes if absent else size
        if needed > there:
            raise damaged(place, f"it needs {needed} bytes of storage, but the record {record!r} has {there}")
        mode = self._mode() if absent and absent.is_fake else None
        try:
            return view_of(self._storage(record, meta.device, absent, mode, place), meta, mode)
        except SerializationError:
            raise
        except TORCH_REFUSALS as error:
            raise refused(place, error) from None

    def _origin(self, record: str, place: str) -> str:
        """Return the record whose storage this record uses."""
        origin = self._copies.get(record, record)
        if self.reader.checksum(origin) != self.reader.checksum(record):
            raise damaged(place, f"the record {record!r} should be a copy of {origin!r}, but has other bytes")
        return origin

    def _storage(
        self, record: str, device: Device, absent: AbsentStorage | None, mode: FakeTensorMode | None, place: str
    ) -> torch.UntypedStorage:
        made = self._made.get((record, device))
        if made is not None:
            return made
        if absent is None:
            made = storage_on(storage_over(self.reader.memory(record)), device, place)
        else:
            made = storage_without_data(absent.nbytes, device if absent.is_fake else Device(type="meta"), mode)
        self._made[record, device] = made
        return made

    def _mode(self) -> FakeTensorMode:
        self._fake_mode = self._fake_mode or FakeTensorMode()
        return self._fake_mode


def _guessed_absent(reader: ArchiveReader, tables: _Tables) -> dict[str, AbsentStorage]:
    """Return the storages without bytes in a file that torch wrote: the empty records of tensors that need bytes."""
    absent: dict[str, AbsentStorage] = {}
    for kind, table in tables.items():
        for name, payload in table.items():
            record, meta = kind.folder + payload.path_name, payload.tensor_meta
            if payload.use_pickle or meta is None or reader.checksum(record)[0]:
                continue
            needed = max(
                reach(meta, _place(reader.label, kind.table, name)), absent[record].nbytes if record in absent else 0
            )
            if needed:
                absent[record] = AbsentStorage(needed, is_fake=meta.device.type != "meta")
    return absent


def _payload(storages: _Storages, kind: Kind, name: str, payload: PayloadMeta, trust: bool) -> Any:
    place = _place(storages.reader.label, kind.table, name)
    record = kind.folder + payload.path_name
    if payload.use_pickle:
        return unpickled(storages.reader, record, place, trust)
    if payload.tensor_meta is None:
        raise damaged(place, "it is not a pickle and has no tensor_meta")
    tensor = storages.tensor(record, payload.tensor_meta, place)
    return _finished(tensor, payload.is_param, payload.tensor_meta.requires_grad, place)


def _finished(tensor: torch.Tensor, is_param: bool, requires_grad: bool, place: str) -> torch.Tensor:
    try:
        if is_param:
            return torch.nn.Parameter(tensor, requires_grad=requires_grad)
        return tensor.requires_grad_(requires_grad)
    except TORCH_REFUSALS as error:
        raise refused(place, error) from None


def _put_lazy(storages: _Storages, values: _Values, tensors: Sequence[LazyTensor]) -> None:
    """Replace the plain copy of each lazy tensor by the tensor with its conjugate or negative bit."""
    for lazy in tensors:
        label, ref = storages.reader.label, lazy.tensor
        place = _place(label, ref.table, ref.name)
        is_param = isinstance(_named(label, values, ref), torch.nn.Parameter)
        tensor = _viewed(storages, lazy.view, place)
        values[ref.table][ref.name] = _finished(tensor, is_param, lazy.view.meta.requires_grad, place)


def _viewed(storages: _Storages, view: View, place: str) -> torch.Tensor:
    tensor = storages.tensor(view.record, view.meta, place)
    try:
        tensor = tensor.conj() if view.conj else tensor
        return negative_view(tensor) if view.neg else tensor
    except TORCH_REFUSALS as error:
        raise refused(place, error) from None


def _put_sparse(storages: _Storages, values: _Values, tensors: Sequence[SparseTensor]) -> None:
    """Insert each sparse tensor at its place in its table."""
    for sparse in tensors:
        ref = sparse.tensor
        place = _place(storages.reader.label, ref.table, ref.name)
        if ref.name in values[ref.table]:
            raise damaged(place, "it is listed twice")
        components = [_viewed(storages, view, place) for view in sparse.components]
        if any(
            each.numel() * each.element_size() > _REPEATED * (each.untyped_storage().nbytes() + 1024)
            for each in components
        ):
            raise damaged(place, "its components repeat the same few bytes and are too large to be checked")
        try:
            tensor = sparse_of(sparse.layout, sparse.sizes, components, sparse.is_coalesced)
        except TORCH_REFUSALS as error:
            raise refused(place, error) from None
        items = list(values[ref.table].items())
        items.insert(
            min(sparse.position, len(items)),
            (ref.name, _finished(tensor, sparse.is_param, sparse.requires_grad, place)),
        )
        values[ref.table] = dict(items)


def _unite(label: str, values: _Values, groups: Sequence[Sequence[Ref]]) -> None:
    """Give the names of each group one object."""
    for group in groups:
        for ref in group:
            one, other = _named(label, values, group[0]), _named(label, values, ref)
            if _facts(one) != _facts(other):
                place = _place(label, ref.table, ref.name)
                raise damaged(
                    place, f"it should be the same object as {group[0].table} {group[0].name!r}, but is of another kind"
                )
            values[ref.table][ref.name] = one


def _facts(value: Any) -> object:
    if not isinstance(value, torch.Tensor):
        return type(value)
    return type(value), value.dtype, value.shape, value.layout, value.device, value.requires_grad


def _named(label: str, values: _Values, ref: Ref) -> Any:
    try:
        return values[ref.table][ref.name]
    except KeyError:
        raise damaged(_place(label, ref.table, ref.name), "it is referenced but missing") from None


def _place(label: str, table: Table, name: str) -> str:
    return f"{label}: {table} {name!r}"
