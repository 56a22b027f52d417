"""The zip format as far as PT2 archives need it: stored entries whose payload begins at a multiple of 64 bytes.

Source: APPNOTE.TXT 6.3.10 of PKWARE, whose section numbers are cited below. All numbers in a zip are little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pytest_exportcheck.errors import ArchiveError

ALIGNMENT = 64
_LIMIT_32, _LIMIT_16 = 0xFFFFFFFF, 0xFFFF
_LOCAL = struct.Struct("<4sHHHHHIIIHH")  # 4.3.7
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")  # 4.3.12
_END = struct.Struct("<4sHHHHIIH")  # 4.3.16
_LOCATOR_64 = struct.Struct("<4sIQI")  # 4.3.15
_END_64 = struct.Struct("<4sQHHIIQQQQ")  # 4.3.14
_FIELD = struct.Struct("<HH")  # id and length of an extra field, 4.5.1
_LOCAL_SIGN, _CENTRAL_SIGN, _END_SIGN = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_LOCATOR_64_SIGN, _END_64_SIGN = b"PK\x06\x07", b"PK\x06\x06"
_PADDING, _ZIP64 = 0x4246, 1  # ids of extra fields; torch pads with "FB" too
_UTF8, _ENCRYPTED, _MASKED = 0x800, 0x1, 0x2000  # flags, 4.4.4
_VERSION, _VERSION_64 = 20, 45  # 4.4.3
_FIRST_OF_1980 = 0x21  # the oldest date that a zip can state: equal contents make equal files


@dataclass(frozen=True)
class Entry:
    """One file of a zip: ``header`` is where its local header begins, ``start`` where its payload does."""

    name: str
    size: int
    crc: int
    header: int
    start: int


def local_header(name: str, size: int, crc: int, at: int) -> bytes:
    """Return the local header of an entry that is written at byte ``at``, padded so that the payload after it is
    aligned.
    """
    encoded = name.encode()
    large = size >= _LIMIT_32
    extra = _FIELD.pack(_ZIP64, 16) + struct.pack("<QQ", size, size) if large else b""
    used = at + _LOCAL.size + len(encoded) + len(extra) + _FIELD.size
    padding = -used % ALIGNMENT
    extra += _FIELD.pack(_PADDING, padding) + b"Z" * padding
    sizes = (_LIMIT_32, _LIMIT_32) if large else (size, size)
    version = _VERSION_64 if large else _VERSION
    fixed = _LOCAL.pack(
        _LOCAL_SIGN, version, _UTF8, 0, 0, _FIRST_OF_1980, crc, *sizes, len(encoded), len(extra)
    )  # fmt: skip
    return fixed + encoded + extra


def directory(entries: Sequence[Entry], at: int) -> bytes:
    """Return the central directory and the end of a zip whose entries end at byte ``at``."""
    central = b"".join(map(_central_header, entries))
    end = at + len(central)
    records = b""
    count, size, start = len(entries), len(central), at
    if count >= _LIMIT_16 or size >= _LIMIT_32 or start >= _LIMIT_32:
        length = _END_64.size - 12  # neither the signature nor this number itself counts
        records = _END_64.pack(
            _END_64_SIGN, length, _VERSION_64, _VERSION_64, 0, 0, count, count, size, start
        ) + _LOCATOR_64.pack(_LOCATOR_64_SIGN, 0, end, 1)
    count, size, start = min(count, _LIMIT_16), min(size, _LIMIT_32), min(start, _LIMIT_32)
    return central + records + _END.pack(_END_SIGN, 0, 0, count, count, size, start, 0)


def _central_header(entry: Entry) -> bytes:
    encoded = entry.name.encode()
    large = entry.size >= _LIMIT_32 or entry.header >= _LIMIT_32
    numbers = (entry.size, entry.size, entry.header)
    extra = _FIELD.pack(_ZIP64, 24) + struct.pack("<QQQ", *numbers) if large else b""
    size, _, header = (_LIMIT_32,) * 3 if large else numbers
    version = _VERSION_64 if large else _VERSION
    fixed = _CENTRAL.pack(
        _CENTRAL_SIGN, version, version, _UTF8, 0, 0, _FIRST_OF_1980, entry.crc, size, size,
        len(encoded), len(extra), 0, 0, 0, 0, header,
    )  # fmt: skip
    return fixed + encoded + extra


def read_directory(data: memoryview, label: str) -> list[Entry]:
    """Return the entries of a zip, in the order of its directory. Every entry must be in the file, before the
    directory, and must not overlap another; the local header of each must agree with the directory.

    Raises
    ------
    ArchiveError
        Where the bytes are not a zip, are truncated, or could not come from a writer of PT2 archives.
    """
    count, size, start = _end_of(data, label)
    entries = list(_entries(data, count, start, start + size, label))
    ordered = sorted(entries, key=lambda entry: (entry.header, entry.start))
    for before, after in pairwise(ordered):
        if before.start + before.size > after.header:
            raise damaged(label, f"the entries {before.name!r} and {after.name!r} overlap")
    return entries


def _end_of(data: memoryview, label: str) -> tuple[int, int, int]:
    """Return the number of entries, the size of the directory, and where it begins."""
    at = len(data) - _END.size
    if at < 0 or data[at : at + 4] != _END_SIGN:
        raise ArchiveError(
            f"{label} is not a PT2 archive: it does not end like a zip file without a comment. It is another kind of file, "
            "was cut short, or has bytes after its end. Download or save it again."
        )
    _, disk, first, here, count, size, start, comment = _END.unpack_from(data, at)
    if (disk, first, here, comment) != (0, 0, count, 0):
        raise damaged(label, "its end record names several disks or a comment")
    end = at
    locator = at - _LOCATOR_64.size
    if locator >= _END_64.size and data[locator : locator + 4] == _LOCATOR_64_SIGN:
        end = locator - _END_64.size
        count, size, start = _end_64_of(data, end, locator, (count, size, start), label)
    if start + size != end or count * _CENTRAL.size > size:
        raise damaged(
            label,
            f"its directory should have {count} entries in {size} bytes from byte {start} on, and end at byte {end}",
        )
    return count, size, start


def _end_64_of(
    data: memoryview, at: int, locator: int, short: tuple[int, int, int], label: str
) -> tuple[int, int, int]:
    """Return the same for a zip64 file, whose 32-bit numbers agree or are left out."""
    _, _, place, _ = _LOCATOR_64.unpack_from(data, locator)
    sign, _, _, _, _, _, here, count, size, start = _END_64.unpack_from(data, at)
    found: tuple[int, int, int] = count, size, start
    absent = _LIMIT_16, _LIMIT_32, _LIMIT_32
    agree = all(old in (new, limit) for old, new, limit in zip(short, found, absent, strict=True))
    if sign != _END_64_SIGN or place != at or here != count or not agree:
        raise damaged(label, "its zip64 record is not where it should be, or contradicts the record after it")
    return found


def _entries(data: memoryview, count: int, at: int, end: int, label: str) -> Iterator[Entry]:
    first = at
    for number in range(count):
        if at + _CENTRAL.size > end or data[at : at + 4] != _CENTRAL_SIGN:
            raise damaged(label, f"entry {number} of its directory, at byte {at}, is not an entry")
        fields = _CENTRAL.unpack_from(data, at)
        _, _, _, flags, method, _, _, crc, packed, size, name_size, extra_size, comment, disk, _, _, header = fields
        after = at + _CENTRAL.size + name_size
        if after + extra_size + comment > end:
            raise damaged(label, f"entry {number} of its directory, at byte {at}, is cut short")
        encoded = bytes(data[at + _CENTRAL.size : after])
        name = _name(encoded, label)
        extra = data[after : after + extra_size]
        size, packed, header = _large_numbers(extra, (size, packed, header), f"{label}: entry {name!r}")
        if disk or flags & (_ENCRYPTED | _MASKED) or method or packed != size:
            raise ArchiveError(
                f"{label} cannot be read: the record {name!r} is compressed or encrypted (method {method}, flags {flags:#x}), "
                "expected a stored one (method 0). Write the archive again without compression."
            )
        yield Entry(name, size, crc, header, _payload(data, header, encoded, size, first, f"{label}: entry {name!r}"))
        at = after + extra_size + comment
    if at != end:
        raise damaged(label, f"its directory has {end - at} bytes after its last entry")


def _name(encoded: bytes, label: str) -> str:
    try:
        return encoded.decode()
    except UnicodeDecodeError:
        raise damaged(label, f"the name of a record, {encoded!r}, is not UTF-8") from None


def _large_numbers(extra: memoryview, numbers: tuple[int, int, int], place: str) -> tuple[int, int, int]:
    """Return size, packed size and place of the header, each from the zip64 field where the header leaves it out
    (4.5.3).
    """
    if _LIMIT_32 not in numbers:
        return numbers
    at = 0
    while at + _FIELD.size <= len(extra):
        kind, length = _FIELD.unpack_from(extra, at)
        at += _FIELD.size
        if kind == _ZIP64 and at + length <= len(extra) and length >= 8 * numbers.count(_LIMIT_32):
            large = iter(struct.unpack_from(f"<{length // 8}Q", extra, at))
            size, packed, header = (next(large) if number == _LIMIT_32 else number for number in numbers)
            return size, packed, header
        at += length
    raise damaged(place, "its numbers need a zip64 field, but it has none")


def _payload(data: memoryview, header: int, name: bytes, size: int, end: int, place: str) -> int:
    """Return where the payload of an entry begins, by its local header; the directory begins at ``end``."""
    after = header + _LOCAL.size
    if after > end or data[header : header + 4] != _LOCAL_SIGN:
        raise damaged(place, f"no local header at byte {header}")
    _, _, flags, method, *_, name_size, extra_size = _LOCAL.unpack_from(data, header)
    start: int = after + name_size + extra_size
    if start + size > end:
        raise damaged(
            place, f"its {size} bytes from byte {start} on reach beyond byte {end}, where the directory begins"
        )
    if bytes(data[after : after + name_size]) != name or method or flags & _ENCRYPTED:
        raise damaged(place, f"the local header at byte {header} contradicts the directory")
    return start


def damaged(place: str, reason: str) -> ArchiveError:
    """Return the error for an archive that contradicts itself."""
    return ArchiveError(f"{place} is damaged: {reason}. Download or save the file again.")
