"""Payloads that the format keeps as pickles: reading one runs what it says, so none is read without trust."""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch

from pytest_exportcheck.errors import PayloadError
from pytest_exportcheck.reference._torch.values import pickle_script_object, unpickle_script_object
from pytest_exportcheck.reference.pt2.archive import ArchiveReader
from pytest_exportcheck.reference.pt2.archive.zip_format import damaged, read_directory


def pickled(value: torch.ScriptObject, place: str) -> bytes:
    """A script object as torch keeps it in an archive; ``place`` is what messages call it.

    Raises
    ------
    PayloadError
        Where its class does not say how to pickle it.
    """
    try:
        return pickle_script_object(value)
    except Exception as error:  # code of the class's own choice may raise anything
        raise PayloadError(
            f"{place} cannot be saved: it cannot be pickled: {type(error).__name__}: {error}. Let its class say how."
        ) from error


def unpickled(reader: ArchiveReader, record: str, place: str, trust: bool) -> Any:
    """The object that a pickled payload makes; ``place`` is what messages call it.

    Raises
    ------
    PayloadError
        Where there is no trust.
    ArchiveError
        Where there is no such record, or it cannot be unpickled.
    """
    if not trust:
        raise PayloadError(
            f"{place} is pickled (record {record!r}): to read it is to run code from the file. "
            "Where you trust whoever made the file, pass trust=True."
        )
    data = reader.read(record)
    load = next(load for prefix, load in _LOADERS if record.rpartition("/")[2].startswith(prefix))
    try:
        return load(data)
    except Exception as error:  # code of the file's own choice may raise anything
        raise damaged(place, f"its pickle cannot be read: {type(error).__name__}: {error}") from error


class _Pickler(pickle._Pickler):
    """Equal strings are one, so that it does not show in the bytes which were. The pickler that is written in Python asks a
    subclass about strings; the usual one does not."""

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        super().save(sys.intern(obj) if type(obj) is str else obj, save_persistent_id)  # type: ignore[misc]


def dumped(value: Any) -> bytes:
    """What ``torch.save`` makes of the value, the same bytes whichever of its strings are one object."""
    buffer = io.BytesIO()
    torch.save(value, buffer, pickle_module=SimpleNamespace(__name__=pickle.__name__, Pickler=_Pickler))
    return buffer.getvalue()


def loaded(data: bytes, place: str, trust: bool) -> Any:
    """What ``torch.save`` wrote, by the weights-only unpickler; by Python's with trust. ``place`` is what messages call it.

    Raises
    ------
    PayloadError
        Where the weights-only unpickler refuses the bytes, or they are damaged.
    """
    try:
        if not trust:
            _refuse_other_containers(data, place)
        return torch.load(io.BytesIO(data), weights_only=not trust)
    except Exception as error:  # the unpickler's own, what the archive below it raises, and with trust anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise PayloadError(
            f"{place} is refused by torch's {'' if trust else 'weights-only '}unpickler ({reason}). "
            + (
                "Get the file again."
                if trust
                else "If you trust whoever made it, pass trust=True: that may run code of theirs."
            )
        ) from error


def _refuse_other_containers(data: bytes, place: str) -> None:
    """Anything but a zip of stored records, as ``torch.save`` makes it: a compressed one may be a thousand times as large as
    it looks, and older containers name sizes that nothing vouches for."""
    read_directory(memoryview(data), place)


def _tensor(data: bytes) -> Any:
    return torch.load(io.BytesIO(data), weights_only=False)


_LOADERS: tuple[tuple[str, Callable[[bytes], Any]], ...] = (
    ("custom_obj_", unpickle_script_object),
    ("opaque_obj_", pickle.loads),
    ("", _tensor),
)
