"""The records of a PT2 archive, as memory over the file."""

from __future__ import annotations

import ctypes
import mmap
import os
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from pytest_exportcheck.errors import ArchiveError
from pytest_exportcheck.reference.pt2.archive.records import (
    ARCHIVE_VERSION,
    BYTE_ORDER,
    CHUNK,
    EXTRA,
    FRAME,
    IDENTITY,
    ZIP_VERSION,
    Place,
    flaw,
    label_of,
    refuse_text,
)
from pytest_exportcheck.reference.pt2.archive.zip_format import ALIGNMENT, Entry, damaged, read_directory

_OLD_VERSION, _OLD_EXTRA = "version", "extra_files/"
_AGAIN = "Save the program again with torch.export.save."


class ArchiveReader:
    """The records of an archive. ``is_old``: torch 2.7 or older wrote it, without a root folder. A file on disk is mapped, not read: only the requested records are loaded into memory,
    and writing to the result of ``memory`` changes no file. The mapping lives as long as anything made of it. Replacing
    the file in that time, as ``write_archive`` does, is safe; truncating it in place is not.

    Raises
    ------
    ArchiveError
        Where the file is not a PT2 archive of a supported version and byte order, is damaged, or has names that a
        writer never makes: absolute, with ``..``, twice the same, under several roots.
    OSError
        Where the file cannot be read.
    """

    def __init__(self, source: Place) -> None:
        self.label = label_of(source)
        self._memory = _mapped(Path(source)) if isinstance(source, (str, os.PathLike)) else _read(source)
        entries = read_directory(self._memory, self.label)
        self.is_old = any(entry.name == _OLD_VERSION for entry in entries)
        if self.is_old:
            self.root, self._entries = "", _named(((entry.name, entry) for entry in entries), self.label)
            return
        self.root, self._entries = _under_one_root(entries, self.label)
        for name, expected in FRAME.items():
            found = self.read(name) if name in self._entries else None
            if name != ZIP_VERSION and found != expected and not (name == BYTE_ORDER and found is None):
                raise ArchiveError(f"{self.label} {_frame_refusal(name, expected, found)}")

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the records in their order, without the root and without the records that mark the file
        as an archive.
        """
        return tuple(name for name in self._entries if name not in FRAME and name != IDENTITY)

    def __contains__(self, name: object) -> bool:
        """Return whether there is a record of this name."""
        return name in self._entries

    def memory(self, name: str) -> memoryview:
        """Return the bytes of a record as a view of the mapping: not copied, not checked, private to this reader.

        Raises
        ------
        ArchiveError
            Where there is no such record.
        """
        entry = self._entry(name)
        return self._memory[entry.start : entry.start + entry.size]

    def _entry(self, name: str) -> Entry:
        entry = self._entries.get(name)
        if entry is None:
            raise ArchiveError(f"{self.label} has no record {name!r}. Save the program again.")
        return entry

    def checksum(self, name: str) -> tuple[int, int]:
        """Return the size and CRC-32 of a record as the directory has them: equal for records of equal bytes.

        Raises
        ------
        ArchiveError
            Where there is no such record.
        """
        entry = self._entry(name)
        return entry.size, entry.crc

    def check(self, name: str) -> None:
        """Compare a record with its checksum. Call this before anything is written to the record's memory.

        Raises
        ------
        ArchiveError
            Where there is no such record, or where its bytes are not those that were written.
        """
        self._compare(name, self.memory(name))

    def _compare(self, name: str, data: bytes | memoryview) -> None:
        found, expected = zlib.crc32(data), self._entry(name).crc
        if found != expected:
            raise damaged(f"{self.label}: record {name!r}", f"its checksum is {found:08x}, expected {expected:08x}")

    def read(self, name: str) -> bytes:
        """Return a copy of the bytes of a record, after comparing them with its checksum.

        Raises
        ------
        ArchiveError
            As ``check``.
        """
        data = bytes(self.memory(name))
        self._compare(name, data)
        return data

    def extra_files(self) -> dict[str, bytes]:
        """Return the extra files by the names that they were saved under."""
        folder = _OLD_EXTRA if self.is_old else EXTRA
        return {name.removeprefix(folder): self.read(name) for name in self._entries if name.startswith(folder)}


def _mapped(path: Path) -> memoryview:
    """Return a file's bytes, copied on write."""
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return memoryview(b"")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))


def _read(file: BinaryIO) -> memoryview:
    """Return the bytes of an open file from its position on, in newly allocated memory that begins at an aligned
    address.
    """
    refuse_text(file)
    if not file.seekable():
        data = file.read()
        memory = _aligned(len(data))
        memory[:] = data
        return memory
    start = file.tell()
    memory = _aligned(file.seek(0, os.SEEK_END) - start)
    file.seek(start)
    filled = 0
    while filled < len(memory) and (chunk := file.read(min(CHUNK, len(memory) - filled))):
        memory[filled : filled + len(chunk)] = chunk
        filled += len(chunk)
    return memory[:filled]


def _aligned(size: int) -> memoryview:
    buffer = bytearray(size + ALIGNMENT)
    shift = -ctypes.addressof(ctypes.c_char.from_buffer(buffer)) % ALIGNMENT
    return memoryview(buffer)[shift : shift + size]


def _under_one_root(entries: Sequence[Entry], label: str) -> tuple[str, dict[str, Entry]]:
    """Return the root folder, and the entries by their names in it."""
    roots = {entry.name.partition("/")[0] for entry in entries}
    if len(roots) != 1:
        raise ArchiveError(
            f"{label} is not a PT2 archive: its records are in {len(roots)} root folders, expected one. {_AGAIN}"
        )
    return roots.pop(), _named(((entry.name.partition("/")[2], entry) for entry in entries), label)


def _named(entries: Iterable[tuple[str, Entry]], label: str) -> dict[str, Entry]:
    """Return the entries by their names, without folders, which other tools add."""
    found: dict[str, Entry] = {}
    for name, entry in entries:
        if entry.name.endswith("/") and not entry.size:
            continue
        if reason := "it has no root folder" if not name else flaw(entry.name):
            raise ArchiveError(
                f"{label} cannot be trusted: the record {entry.name!r} has a bad name: {reason}. {_AGAIN}"
            )
        if name in found:
            raise ArchiveError(f"{label} cannot be trusted: it has two records {entry.name!r}. {_AGAIN}")
        found[name] = entry
    return found


def _frame_refusal(name: str, expected: bytes, found: bytes | None) -> str:
    """Return why a record that frames an archive is refused, for versions in the words of torch's reader too."""
    says = "the record is missing." if found is None else f"says {found[:40]!r}."
    version = found[:40].decode(errors="replace") if found is not None and name == ARCHIVE_VERSION else ""
    if version and version.isprintable():
        says += f" Saved archive version {version} does not match our current archive version {expected.decode()}."
    return (
        f"cannot be read: its record {name!r} should say {expected.decode()!r}, but {says} Save the program again, with "
        "torch.export.save, on a machine of this byte order."
    )
