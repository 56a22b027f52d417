"""Archives that no writer makes are refused, with what is wrong and where."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_exportcheck.errors import ArchiveError
from pytest_exportcheck.reference.pt2.archive import ArchiveReader, write_archive
from tests.unit.archives_of import FRAME, zip_of

RECORD = ("archive/models/model.json", b"{}" * 20)
GOOD = zip_of([*FRAME, RECORD])
DIRECTORY = GOOD.index(b"PK\x01\x02")
END = len(GOOD) - 22
LAST_ENTRY = GOOD.rindex(b"PK\x01\x02")
AGAIN = "Download or save the file again."
SAVE = "Save the program again with torch.export.save."
NO_ZIP = (
    "the BytesIO is not a PT2 archive: it does not end like a zip file without a comment. It is another kind of file, "
    "was cut short, or has bytes after its end. Download or save it again."
)  # fmt: skip


def refusal(data: bytes | bytearray) -> str:
    with pytest.raises(ArchiveError) as caught:
        ArchiveReader(io.BytesIO(data))
    return str(caught.value)


def patched(at: int, layout: str, *numbers: int) -> bytearray:
    """The good archive with other numbers at one place."""
    data = bytearray(GOOD)
    struct.pack_into(layout, data, at, *numbers)
    return data


def test_the_archive_that_is_spoiled_below_is_a_good_one() -> None:
    assert ArchiveReader(io.BytesIO(GOOD)).read("models/model.json") == RECORD[1]


@pytest.mark.parametrize("data", [b"", b"PK", b"\0" * 100, GOOD[:-1], bytes(GOOD) + b"\0", GOOD[:END]])
def test_what_does_not_end_as_a_zip_is_no_archive(data: bytes) -> None:
    assert refusal(data) == NO_ZIP


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (patched(END + 4, "<H", 1), "its end record names several disks or a comment"),
        (patched(END + 20, "<H", 1), "its end record names several disks or a comment"),
        (
            patched(END + 8, "<HH", 9, 9),
            f"its directory should have 9 entries in {END - DIRECTORY} bytes from byte {DIRECTORY} on, "
            f"and end at byte {END}",
        ),
        (
            patched(END + 16, "<I", DIRECTORY + 1),
            f"its directory should have 4 entries in {END - DIRECTORY} bytes from byte {DIRECTORY + 1} on, "
            f"and end at byte {END}",
        ),
        (
            b"prefix" + bytes(GOOD),
            f"its directory should have 4 entries in {END - DIRECTORY} bytes from byte {DIRECTORY} on, "
            f"and end at byte {END + 6}",
        ),
        (patched(DIRECTORY, "<I", 0), f"entry 0 of its directory, at byte {DIRECTORY}, is not an entry"),
        (patched(LAST_ENTRY + 28, "<H", 60000), f"entry 3 of its directory, at byte {LAST_ENTRY}, is cut short"),
        (patched(END + 8, "<HH", 3, 3), f"its directory has {END - LAST_ENTRY} bytes after its last entry"),
        (
            patched(LAST_ENTRY + 46, "<B", 0xFF),
            r"the name of a record, b'\xffrchive/models/model.json', is not UTF-8",
        ),
    ],
)
def test_a_directory_that_contradicts_itself_is_damage(data: bytes, reason: str) -> None:
    assert refusal(data) == f"the BytesIO is damaged: {reason}. {AGAIN}"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (patched(LAST_ENTRY + 42, "<I", 7), "no local header at byte 7"),
        (patched(LAST_ENTRY + 42, "<I", 0xFFFFFFF0), "no local header at byte 4294967280"),
        (
            patched(LAST_ENTRY + 20, "<II", 41, 41),
            f"its 41 bytes from byte {DIRECTORY - 40} on reach beyond byte {DIRECTORY}, where the directory begins",
        ),
        (patched(LAST_ENTRY + 20, "<II", 0xFFFFFFFF, 0xFFFFFFFF), "its numbers need a zip64 field, but it has none"),
        (
            patched(LAST_ENTRY + 47, "<B", ord("x")),
            f"the local header at byte {DIRECTORY - 40 - 25 - 30} contradicts the directory",
        ),
    ],
)
def test_an_entry_that_lies_elsewhere_is_damage(data: bytes, reason: str) -> None:
    name = "axchive/models/model.json" if b"axchive" in data else RECORD[0]
    assert refusal(data) == f"the BytesIO: entry {name!r} is damaged: {reason}. {AGAIN}"


def test_entries_that_overlap_are_damage() -> None:
    inner = zip_of([("archive/inner", b"x")])
    inner = inner[: inner.index(b"PK\x01\x02")]
    data = bytearray(zip_of([("archive/outer", bytes(inner)), ("archive/inner", b"x")]))
    struct.pack_into("<I", data, data.rindex(b"PK\x01\x02") + 42, data.index(inner))
    assert refusal(data) == f"the BytesIO is damaged: the entries 'archive/outer' and 'archive/inner' overlap. {AGAIN}"


def test_compressed_records_are_refused() -> None:
    assert refusal(zip_of([*FRAME, ("archive/a", bytes(10**6))], zipfile.ZIP_DEFLATED)) == (
        "the BytesIO cannot be read: the record 'archive/archive_format' is compressed or encrypted (method 8, flags 0x0), "
        "expected a stored one (method 0). Write the archive again without compression."
    )


def test_encrypted_records_are_refused() -> None:
    assert refusal(patched(LAST_ENTRY + 8, "<H", 1)) == (
        "the BytesIO cannot be read: the record 'archive/models/model.json' is compressed or encrypted (method 0, flags 0x1), "
        "expected a stored one (method 0). Write the archive again without compression."
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("archive/../up", "one of its folders is empty, '.' or '..'"),
        ("archive/./here", "one of its folders is empty, '.' or '..'"),
        ("archive//abs", "one of its folders is empty, '.' or '..'"),
        ("archive/a\\b", "it contains a backslash or a NUL character"),
        ("archive/folder/", "one of its folders is empty, '.' or '..'"),
        ("archive", "it has no root folder"),
    ],
)
def test_bad_names_are_refused(name: str, reason: str) -> None:
    assert refusal(zip_of([*FRAME, (name, b"x")])) == (
        f"the BytesIO cannot be trusted: the record {name!r} has a bad name: {reason}. {SAVE}"
    )


def test_a_name_with_a_zero_is_not_cut_there() -> None:
    data = zip_of([*FRAME, ("archive/aXb", b"x")]).replace(b"archive/aXb", b"archive/a\0b")
    assert refusal(data) == (
        r"the BytesIO cannot be trusted: the record 'archive/a\x00b' has a bad name: it contains a backslash or a NUL character. "
        + SAVE
    )


def test_two_records_of_one_name_are_refused() -> None:
    assert refusal(zip_of([*FRAME, RECORD, RECORD])) == (
        "the BytesIO cannot be trusted: it has two records 'archive/models/model.json'. " + SAVE
    )


@pytest.mark.parametrize(("entries", "roots"), [([], 0), ([*FRAME, ("other/a", b"")], 2), ([*FRAME, ("/abs", b"")], 2)])
def test_other_than_one_root_is_refused(entries: list[tuple[str, bytes]], roots: int) -> None:
    assert refusal(zip_of(entries)) == (
        f"the BytesIO is not a PT2 archive: its records are in {roots} root folders, expected one. "
        "Save the program again with torch.export.save."
    )


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("archive_format", b"zip", "pt2"),
        ("archive_format", None, "pt2"),
        ("archive_version", b"1", "0"),
        ("archive_version", None, "0"),
        ("byteorder", b"big", "little"),
    ],
)
def test_another_format_version_or_byte_order_is_refused(name: str, value: bytes | None, expected: str) -> None:
    entries = [entry for entry in FRAME if entry[0] != f"archive/{name}"]
    if value is not None:
        entries.append((f"archive/{name}", value))
    says = "the record is missing" if value is None else f"says {value!r}"
    if (name, value) == ("archive_version", b"1"):
        says += ". Saved archive version 1 does not match our current archive version 0"
    assert refusal(zip_of(entries)) == (
        f"the BytesIO cannot be read: its record {name!r} should say {expected!r}, but {says}. "
        "Save the program again, with torch.export.save, on a machine of this byte order."
    )


def test_a_file_that_does_not_say_its_byte_order_is_read_as_torch_reads_it() -> None:
    assert ArchiveReader(io.BytesIO(zip_of(FRAME[:2]))).names == ()


def test_folders_that_another_tool_added_are_passed_over() -> None:
    assert ArchiveReader(io.BytesIO(zip_of([("archive/", b""), *FRAME, RECORD]))).names == ("models/model.json",)


@pytest.mark.parametrize("read", [ArchiveReader.read, ArchiveReader.check])
def test_bytes_that_were_changed_are_noticed(read: Callable[[ArchiveReader, str], object]) -> None:
    data = bytearray(GOOD)
    data[data.index(b"{}")] ^= 1
    reader = ArchiveReader(io.BytesIO(data))
    with pytest.raises(ArchiveError) as caught:
        read(reader, "models/model.json")
    assert str(caught.value) == (
        "the BytesIO: record 'models/model.json' is damaged: "
        f"its checksum is {crc_of_record(data):08x}, expected {crc_of_record(GOOD):08x}. {AGAIN}"
    )


def crc_of_record(data: bytearray) -> int:
    start = data.index(b"model.json") + len(b"model.json")
    return zlib.crc32(data[start : start + 40])


def large() -> bytearray:
    """An archive of ours with zip64 records at its end."""
    buffer = io.BytesIO()
    write_archive(buffer, {f"extra/{number}": b"" for number in range(0xFFFF)})
    return bytearray(buffer.getvalue())


@pytest.mark.parametrize(("at", "value"), [(8, 0), (-56, 0), (-56 + 24, 1), (-56 + 32, 1), (-56 + 48, 1)])
def test_a_zip64_record_that_is_elsewhere_or_contradicts_is_damage(at: int, value: int) -> None:
    data = large()
    struct.pack_into("<I", data, data.rindex(b"PK\x06\x07") + at, value)
    assert refusal(data) == (
        "the BytesIO is damaged: its zip64 record is not where it should be, or contradicts the record after it. "
        + AGAIN
    )


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_whatever_byte_is_changed_all_is_well_or_refused(at: int, change: int) -> None:
    data = bytearray(GOOD)
    data[at] ^= change
    try:
        reader = ArchiveReader(io.BytesIO(data))
        for name in reader.names:
            reader.read(name)
    except ArchiveError:
        pass


@given(st.integers(0, len(GOOD) - 1))
def test_a_file_that_was_cut_short_is_refused(size: int) -> None:
    assert refusal(GOOD[:size]) == NO_ZIP
