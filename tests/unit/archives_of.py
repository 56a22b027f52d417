"""Archives for tests: of tensors, of a program as torch saves it, and of any entries at all."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from pytest_exportcheck.reference.pt2.archive import ArchiveReader, Place, write_archive
from pytest_exportcheck.reference.pt2.payloads.config import (
    CONSTANTS,
    WEIGHTS,
    PayloadExtras,
    decode_config,
    decode_extras,
    encode,
)
from pytest_exportcheck.reference.pt2.payloads.restore import RestoredPayloads, restore
from pytest_exportcheck.reference.pt2.payloads.store import store

FRAME = [("archive/archive_format", b"pt2"), ("archive/archive_version", b"0"), ("archive/byteorder", b"little")]
EXTRAS = "exportcheck/payloads.json"


def saved_by_torch(module: torch.nn.Module, *args: Any) -> tuple[torch.export.ExportedProgram, io.BytesIO]:
    program = torch.export.export(module, args)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of views of one storage
        torch.export.save(program, buffer)
    buffer.seek(0)
    return program, buffer


def restored_by_us(source: Place) -> RestoredPayloads:
    """The tensors of an archive that torch saved, or of one of ours without its extras."""
    reader = ArchiveReader(source)
    first, second = (
        decode_config(reader.read(kind.config_record("model")), kind.table) for kind in (WEIGHTS, CONSTANTS)
    )
    return restore(reader, first, second)


def archive_of(weights: Mapping[str, Any], constants: Mapping[str, Any] | None = None) -> io.BytesIO:
    stored = store(weights, constants)
    buffer = io.BytesIO()
    configs = {
        WEIGHTS.config_record("model"): encode(stored.weights),
        CONSTANTS.config_record("model"): encode(stored.constants),
    }
    write_archive(buffer, {**stored.records, **configs, EXTRAS: encode(stored.extras)})
    buffer.seek(0)
    return buffer


def there_and_back(
    weights: Mapping[str, Any], constants: Mapping[str, Any] | None = None, **options: Any
) -> RestoredPayloads:
    """Weights and constants after a way through an archive with everything that we write."""
    reader = ArchiveReader(archive_of(weights, constants))
    first, second = (
        decode_config(reader.read(kind.config_record("model")), kind.table) for kind in (WEIGHTS, CONSTANTS)
    )
    return restore(reader, first, second, decode_extras(reader.read(EXTRAS), "extras"), **options)


def extras_of(weights: Mapping[str, Any], constants: Mapping[str, Any] | None = None) -> PayloadExtras:
    return store(weights, constants).extras


def zip_of(entries: Sequence[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytearray:
    """A zip as Python writes one, of these entries and nothing else."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", method) as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, data in entries:
            archive.writestr(name, data)
    return bytearray(buffer.getvalue())
