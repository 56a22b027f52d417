"""The writer of PT2 archives: an archive is written whole or not at all."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeAlias

from pytest_exportcheck.atomic_file import whole_file
from pytest_exportcheck.errors import ArchiveError
from pytest_exportcheck.reference.pt2.archive.records import (
    CHUNK,
    EXTRA,
    FRAME,
    IDENTITY,
    Place,
    flaw,
    label_of,
    refuse_text,
)
from pytest_exportcheck.reference.pt2.archive.zip_format import Entry, directory, local_header

Record: TypeAlias = "bytes | memoryview | Callable[[], memoryview]"
"""What a record holds; what is called is called when its turn comes, so that one copy from a device is held at a time."""


def extra_records(files: Mapping[str, str | bytes]) -> dict[str, bytes]:
    """Return the records of extra files, as ``torch.export.save(extra_files=)`` takes them."""
    return {EXTRA + name: text.encode() if isinstance(text, str) else text for name, text in files.items()}


def write_archive(target: Place, records: Mapping[str, Record], *, root: str = "archive") -> None:
    """Write an archive with these records, in their order, and with the records that mark it as an archive. Equal
    records make equal bytes. Payloads are written without a copy. A path gets the archive whole or not at all. An open
    file, which need not be seekable, gets it at its position and is put back there; anything after the archive is cut
    off. If the writing fails, what was written is removed as far as the file can.

    Raises
    ------
    ArchiveError
        Where the name of a record or the root is none that a reader could trust, or is one that the writer itself sets.
    OSError
        Where the file cannot be written.
    """
    _refuse_names(records, root)
    with _opened(target) as file:
        _write(file, records, root)


def _refuse_names(records: Mapping[str, Record], root: str) -> None:
    if "/" in root:
        raise ArchiveError(f"the archive cannot be written: its root {root!r} must be a single folder. Name one.")
    for name in records:
        reason = flaw(f"{root}/{name}")
        if name in (*FRAME, IDENTITY):
            reason = "the writer creates it"
        if reason:
            raise ArchiveError(f"the record {name!r} cannot be written under {root!r}: {reason}. Choose another name.")


@contextmanager
def _opened(target: Place) -> Iterator[BinaryIO]:
    if isinstance(target, (str, os.PathLike)):
        with whole_file(Path(target)) as file:
            yield file
        return
    refuse_text(target)
    start = target.tell() if target.seekable() else None
    try:
        yield target
    except BaseException:
        if start is not None:
            target.seek(start)
            target.truncate()
        raise
    if start is not None:
        target.truncate()
        target.seek(start)  # as torch does: the next step is to load it


def _write(file: BinaryIO, records: Mapping[str, Record], root: str) -> None:
    at, entries = 0, list[Entry]()
    for name, record in records.items():
        at = _write_entry(file, f"{root}/{name}", record, at, entries)
    for name, record in {**FRAME, IDENTITY: _identity(entries)}.items():
        at = _write_entry(file, f"{root}/{name}", record, at, entries)
    _write_all(file, memoryview(directory(entries, at)))


def _write_entry(file: BinaryIO, name: str, record: Record, at: int, entries: list[Entry]) -> int:
    """Write one entry at byte ``at`` of the archive and list it; return where the next entry goes."""
    payload = memoryview(record() if callable(record) else record)
    crc = zlib.crc32(payload)
    header = local_header(name, payload.nbytes, crc, at)
    entries.append(Entry(name, payload.nbytes, crc, at, at + len(header)))
    _write_all(file, memoryview(header))
    _write_all(file, payload)
    return at + len(header) + payload.nbytes


def _write_all(file: BinaryIO, data: memoryview) -> None:
    """Write all bytes, also where a raw file takes less at a time."""
    while data.nbytes:
        written = file.write(data[:CHUNK])
        if not written:
            raise OSError(f"{label_of(file)} accepts no more bytes; {data.nbytes} bytes are left to write")
        data = data[written:]


def _identity(entries: Sequence[Entry]) -> bytes:
    """Return forty digits computed from names, sizes and checksums; torch makes a number of this length from the
    same.
    """
    text = "\0".join(f"{entry.name}\0{entry.size}\0{entry.crc}" for entry in entries)
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return b"%040d" % int.from_bytes(digest, "little")
