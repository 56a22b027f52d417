"""Weights and constants as torch 2.8 and older saved them: each table as one pickle, which its weights-only unpickler
can read.
"""

from __future__ import annotations

from typing import Any

import torch

from pytest_exportcheck.errors import PayloadError
from pytest_exportcheck.reference.pt2.archive import ArchiveReader
from pytest_exportcheck.reference.pt2.archive.programs import OLD_CONSTANTS, OLD_STATE
from pytest_exportcheck.reference.pt2.payloads.config import CONSTANTS, WEIGHTS
from pytest_exportcheck.reference.pt2.payloads.pickles import is_pickled, loaded
from pytest_exportcheck.reference.pt2.payloads.restore import RestoredPayloads


def pickled_payloads(archive: ArchiveReader, name: str, trust: bool) -> RestoredPayloads | None:
    """Return the tensors of a program of torch 2.8 or older; None for a newer one. What a pickle shares is shared.

    Raises
    ------
    PayloadError
        Where the weights-only unpickler refuses a table, and ``trust`` is False, or where it is not one of tensors.
    ArchiveError
        Where a record is missing or damaged.
    """
    records = pickled_records(archive, name)
    return RestoredPayloads(*(_table(archive, record, trust) for record in records)) if records else None


def pickled_records(archive: ArchiveReader, name: str) -> tuple[str, str] | None:
    """Return the records of weights and constants that are pickled as a whole; None where each tensor has its own."""
    if archive.is_old:
        return OLD_STATE, OLD_CONSTANTS
    records = f"{WEIGHTS.folder}{name}.pt", f"{CONSTANTS.folder}{name}.pt"
    configured = any(kind.config_record(name) in archive for kind in (WEIGHTS, CONSTANTS))
    return records if not configured and records[0] in archive else None


def _table(archive: ArchiveReader, record: str, trust: bool) -> dict[str, Any]:
    data, where = archive.read(record), f"{archive.label}: {record}"
    if not data:
        return {}
    found = loaded(data, where, trust)
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise PayloadError(f"{where}: expected a dict of tensors by name, got {type(found).__name__}. {_AGAIN}")
    for name, value in found.items():
        if not isinstance(value, torch.Tensor) and not is_pickled(value):
            raise PayloadError(f"{where}: {name!r}: expected a tensor, got {type(value).__name__}. {_AGAIN}")
    return dict(found)


_AGAIN = "Save the program again."
