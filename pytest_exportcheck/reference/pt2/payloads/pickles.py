"""Payloads that the format keeps as pickles: reading one runs code from the file, so none is read without trust."""

from __future__ import annotations

import io
import pickle
import pickletools
import re
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch

from pytest_exportcheck.errors import PayloadError
from pytest_exportcheck.reference._torch.objects import is_opaque, pickle_script_object, unpickle_script_object
from pytest_exportcheck.reference.pt2.archive import ArchiveReader
from pytest_exportcheck.reference.pt2.archive.zip_format import damaged, read_directory

_SCRIPT, _OPAQUE = "custom_obj_", "opaque_obj_"


def is_pickled(value: object) -> bool:
    """Return True for a value that an archive keeps as a pickle: a script object, or an opaque object."""
    return isinstance(value, torch.ScriptObject) or is_opaque(value)


def pickled(value: Any, place: str) -> tuple[str, bytes]:
    """Return an object as torch keeps it in an archive, after the beginning of its record's name; ``place`` is the name
    of the object in messages.

    Raises
    ------
    PayloadError
        Where its class does not define how to pickle it.
    """
    try:
        if isinstance(value, torch.ScriptObject):
            return _SCRIPT, pickle_script_object(value)
        return _OPAQUE, pickle.dumps(value)
    except Exception as error:  # the class's own code may raise anything
        raise PayloadError(
            f"{place} cannot be saved, because it cannot be pickled: {type(error).__name__}: {error}. Make its class picklable."
        ) from error


def unpickled(reader: ArchiveReader, record: str, place: str, trust: bool) -> Any:
    """Return the object that a pickled payload makes; ``place`` is its name in messages.

    Raises
    ------
    PayloadError
        Without trust.
    ArchiveError
        Where the record does not exist or cannot be unpickled.
    """
    if not trust:
        raise PayloadError(
            f"{place} is pickled (record {record!r}), and reading a pickle can run code from the file. "
            "If you trust the source of the file, pass trust=True."
        )
    data = reader.read(record)
    load = next(load for prefix, load in _LOADERS if record.rpartition("/")[2].startswith(prefix))
    try:
        return load(data)
    except Exception as error:  # the file's own code may raise anything
        raise damaged(place, f"its pickle cannot be read: {type(error).__name__}: {error}") from error


class _Pickler(pickle._Pickler):
    """A pickler that writes equal strings as one, so that the bytes do not depend on which strings were one object. The
    pickler that is written in Python asks a subclass about strings; the usual one does not.
    """

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        super().save(sys.intern(obj) if type(obj) is str else obj, save_persistent_id)  # type: ignore[misc]


def dumped(value: Any) -> bytes:
    """Return the bytes that ``torch.save`` makes of the value, the same whichever of its strings are one object."""
    buffer = io.BytesIO()
    torch.save(value, buffer, pickle_module=SimpleNamespace(__name__=pickle.__name__, Pickler=_Pickler))
    return buffer.getvalue()


def loaded(data: bytes, place: str, trust: bool) -> Any:
    """Read bytes that ``torch.save`` wrote, by the weights-only unpickler, or by Python's with trust. ``place`` is
    their name in messages.

    Raises
    ------
    PayloadError
        Where the weights-only unpickler refuses the bytes, or they are damaged.
    """
    try:
        if not trust:
            _refuse_other_containers(data, place)
        return torch.load(io.BytesIO(data), weights_only=not trust)
    except Exception as error:  # the unpickler's own error, what the archive reader raises, and with trust anything
        raise PayloadError(
            f"{place} is refused by torch's {'' if trust else 'weights-only '}unpickler ({_reason(error)}). "
            + (
                "Download or save the file again."
                if trust
                else "If you trust the source of the file, pass trust=True, which may run code from it."
            )
        ) from error


def _reason(error: Exception) -> str:
    """Return the first sentence of an error; of the weights-only unpickler, that about the pickle: its message begins
    with advice about ``torch.load``.
    """
    text = str(error)
    found = re.search(r"WeightsUnpickler error: (.+)", text)
    return (found[1] if found else text.partition("\n")[0] or type(error).__name__).partition(". ")[0]


def _refuse_other_containers(data: bytes, place: str) -> None:
    """Refuse any container but a zip of stored records, which ``torch.save`` makes: a compressed one may expand a
    thousandfold, and older containers state sizes that cannot be checked.
    """
    for entry in read_directory(memoryview(data), place):
        if entry.name.endswith("/data.pkl"):
            _refuse_allocation(data[entry.start : entry.start + entry.size])


def _refuse_allocation(program: bytes) -> None:
    """Refuse a pickle that names ``bytearray``, which the weights-only unpickler calls with any size; no tensor needs it."""
    if b"bytearray" in program and any(
        operator.name in ("GLOBAL", "INST") and str(argument).split()[-1] == "bytearray"
        for operator, argument, _ in pickletools.genops(program)
    ):
        raise ValueError("it creates a bytearray, which may have any size")


def _tensor(data: bytes) -> Any:
    return torch.load(io.BytesIO(data), weights_only=False)


_LOADERS: tuple[tuple[str, Callable[[bytes], Any]], ...] = (
    (_SCRIPT, unpickle_script_object),
    (_OPAQUE, pickle.loads),
    ("", _tensor),
)
