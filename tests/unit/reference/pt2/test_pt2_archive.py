"""Records into an archive and back: what is in the file, who can read it, and that equal records make equal bytes."""

from __future__ import annotations

import ctypes
import io
import os
import threading
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pytest_exportcheck.errors import ArchiveError
from pytest_exportcheck.reference.pt2.archive import ArchiveReader, extra_records, write_archive
from tests.unit.archives_of import saved_by_torch

RECORDS = {"data/weights/weight_0": b"\x01" * 100, "models/model.json": b"{}", "extra/note": b""}
FRAME = ["archive_format", "archive_version", ".data/version", "byteorder", ".data/serialization_id"]
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\\\0."), min_size=1, max_size=20)


def written(records: dict[str, Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    write_archive(buffer, records, **options)
    return buffer.getvalue()


def test_the_records_are_read_as_they_were_written() -> None:
    reader = ArchiveReader(io.BytesIO(written(RECORDS)))
    assert {name: reader.read(name) for name in reader.names} == RECORDS


def test_the_records_stay_in_their_order() -> None:
    assert ArchiveReader(io.BytesIO(written(dict(reversed(RECORDS.items()))))).names == tuple(reversed(RECORDS))


@given(st.dictionaries(names, st.binary(max_size=300), max_size=5), names)
def test_any_records_are_read_as_they_were_written(records: dict[str, bytes], root: str) -> None:
    reader = ArchiveReader(io.BytesIO(written({f"extra/{name}": data for name, data in records.items()}, root=root)))
    assert (reader.root, reader.extra_files()) == (root, records)


@given(st.lists(st.integers(0, 200), max_size=6))
def test_every_payload_begins_at_a_multiple_of_64_bytes(sizes: list[int]) -> None:
    data = written({f"data/{number}": bytes([number + 1]) * size for number, size in enumerate(sizes)})
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for entry in archive.infolist():
            header = entry.header_offset
            lengths = data[header + 26 : header + 30]
            start = header + 30 + int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
            assert start % 64 == 0
            assert data[start : start + entry.file_size] == archive.read(entry)


def test_the_file_says_what_it_is() -> None:
    with zipfile.ZipFile(io.BytesIO(written({}))) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    identity = found.pop("archive/.data/serialization_id")
    assert (len(identity), identity.isdigit()) == (40, True)
    assert found == {
        "archive/archive_format": b"pt2",
        "archive/archive_version": b"0",
        "archive/.data/version": b"6\n",
        "archive/byteorder": b"little",
    }


def test_the_file_says_the_same_as_one_that_torch_writes() -> None:
    _, buffer = saved_by_torch(torch.nn.Linear(2, 2), torch.ones(1, 2))
    with zipfile.ZipFile(buffer) as theirs, zipfile.ZipFile(io.BytesIO(written({}))) as ours:
        for name in FRAME[:-1]:
            assert ours.read(f"archive/{name}") == theirs.read(f"archive/{name}")


def test_equal_records_make_equal_bytes() -> None:
    assert written(RECORDS) == written({name: memoryview(data) for name, data in RECORDS.items()})


def test_another_byte_makes_another_identity() -> None:
    first, second = (ArchiveReader(io.BytesIO(written({"a": data}))) for data in (b"x", b"y"))
    assert first.read(FRAME[-1]) != second.read(FRAME[-1])


def test_the_container_reader_of_torch_reads_every_record() -> None:
    reader = torch._C.PyTorchFileReader(io.BytesIO(written(RECORDS)))
    assert {name: reader.get_record(name) for name in RECORDS} == RECORDS
    offset = reader.get_record_offset("data/weights/weight_0")  # type: ignore[attr-defined]  # not in torch's stubs
    assert offset % 64 == 0


def test_python_finds_no_damage() -> None:
    with zipfile.ZipFile(io.BytesIO(written(RECORDS))) as archive:
        assert archive.testzip() is None


def test_more_records_than_sixteen_bits_count() -> None:
    data = written({f"extra/{number}": b"" for number in range(65536)})
    assert len(ArchiveReader(io.BytesIO(data)).extra_files()) == 65536
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert len(archive.namelist()) == 65536 + len(FRAME)
    assert torch._C.PyTorchFileReader(io.BytesIO(data)).get_record("extra/65535") == b""


def test_extra_files_come_back_by_their_names() -> None:
    data = written(extra_records({"note.txt": "né", "sub/raw": b"\xff"}))
    assert ArchiveReader(io.BytesIO(data)).extra_files() == {"note.txt": "né".encode(), "sub/raw": b"\xff"}


def test_a_record_that_is_called_is_called_once_and_in_its_turn() -> None:
    calls: list[str] = []

    def record(name: str) -> Any:
        return lambda: calls.append(name) or memoryview(b"abc")  # type: ignore[func-returns-value]  # None, then the bytes

    reader = ArchiveReader(io.BytesIO(written({"a": record("a"), "b": record("b")})))
    assert (calls, reader.read("a")) == (["a", "b"], b"abc")


def test_an_archive_at_a_path_is_mapped(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    write_archive(path, RECORDS)
    reader = ArchiveReader(str(path))
    memory = reader.memory("data/weights/weight_0")
    memory[0] = 9
    assert reader.memory("data/weights/weight_0")[0] == 9
    assert ArchiveReader(path).memory("data/weights/weight_0")[0] == 1


def test_a_mapped_archive_can_be_replaced_by_its_own_records(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    write_archive(path, RECORDS)
    before, reader = path.read_bytes(), ArchiveReader(path)
    write_archive(path, {name: reader.memory(name) for name in reader.names})
    assert path.read_bytes() == before


def test_a_large_payload_is_not_copied_to_be_written(tmp_path: Path) -> None:
    payload = memoryview(bytearray(64 << 20))
    tracemalloc.start()
    write_archive(tmp_path / "model.pt2", {"data/weights/weight_0": payload})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_a_large_payload_is_not_read_to_be_mapped(tmp_path: Path) -> None:
    write_archive(tmp_path / "model.pt2", {"data/weights/weight_0": memoryview(bytearray(64 << 20))})
    before = resident()
    memory = ArchiveReader(tmp_path / "model.pt2").memory("data/weights/weight_0")
    assert (len(memory), memory[-1]) == (64 << 20, 0)
    assert resident() - before < 8 << 20


def resident() -> int:
    """Bytes of this process in memory."""
    statistics = Path("/proc/self/statm")
    if not statistics.exists():
        pytest.skip("memory in use is known on Linux only")
    return int(statistics.read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def test_an_archive_in_a_buffer_begins_at_an_aligned_address() -> None:
    memory = ArchiveReader(io.BytesIO(written(RECORDS))).memory("data/weights/weight_0")
    assert ctypes.addressof(ctypes.c_char.from_buffer(memory)) % 64 == 0


def test_an_open_file_is_read_and_written_from_its_position_on(tmp_path: Path) -> None:
    with (tmp_path / "two").open("w+b") as file:
        file.write(b"before")
        write_archive(file, RECORDS)
        assert file.tell() == 6  # what was written can be read at once, as torch's can
        assert ArchiveReader(file).read("models/model.json") == b"{}"
    assert (tmp_path / "two").read_bytes() == b"before" + written(RECORDS)


def test_a_longer_archive_that_a_buffer_held_is_cut_off() -> None:
    buffer = io.BytesIO(written({"extra/long": bytes(1000)}))
    write_archive(buffer, {})
    assert buffer.getvalue() == written({})


class Pipe(io.RawIOBase):
    """A raw file that cannot seek, and that takes at most seven bytes at a time."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.data += bytes(data[:7])
        return len(data[:7])

    def readinto(self, buffer: Any) -> int:
        taken = self.data[: min(7, len(buffer))]
        buffer[: len(taken)] = taken
        del self.data[: len(taken)]
        return len(taken)


def test_what_cannot_seek_is_written_and_read() -> None:
    pipe: Any = Pipe()
    write_archive(pipe, RECORDS)
    assert bytes(pipe.data) == written(RECORDS)
    assert ArchiveReader(pipe).read("models/model.json") == b"{}"


def test_a_file_that_is_open_as_text_is_refused(tmp_path: Path) -> None:
    text: Any = io.StringIO()
    with pytest.raises(ArchiveError) as caught:
        write_archive(text, {})
    assert str(caught.value) == "the StringIO is open in text mode. Open it in binary mode."
    with pytest.raises(ArchiveError) as caught:
        ArchiveReader(text)
    assert str(caught.value) == "the StringIO is open in text mode. Open it in binary mode."


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../up", "one of its folders is empty, '.' or '..'"),
        ("/abs", "one of its folders is empty, '.' or '..'"),
        ("folder/", "one of its folders is empty, '.' or '..'"),
        ("a\\b", "it contains a backslash or a NUL character"),
        ("a\0b", "it contains a backslash or a NUL character"),
        ("a" * 65530, "it is not Unicode text of at most 65535 bytes"),
        ("\ud800", "it is not Unicode text of at most 65535 bytes"),
        ("byteorder", "the writer creates it"),
        (".data/serialization_id", "the writer creates it"),
    ],
)
def test_a_name_that_no_reader_could_trust_is_not_written(name: str, reason: str) -> None:
    buffer = io.BytesIO()
    with pytest.raises(ArchiveError) as caught:
        write_archive(buffer, {name: b""})
    assert str(caught.value) == (
        f"the record {name!r} cannot be written under 'archive': {reason}. Choose another name."
    )
    assert buffer.getvalue() == b""


def test_a_root_of_several_folders_is_refused() -> None:
    with pytest.raises(ArchiveError) as caught:
        written({}, root="a/b")
    assert str(caught.value) == "the archive cannot be written: its root 'a/b' must be a single folder. Name one."


def test_a_record_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    write_archive(path, {})
    with pytest.raises(ArchiveError) as caught:
        ArchiveReader(path).memory("models/model.json")
    assert str(caught.value) == f"{path} has no record 'models/model.json'. Save the program again."


def test_a_file_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ArchiveReader(tmp_path / "none.pt2")


def test_eight_threads_read_one_file_twenty_times_each(tmp_path: Path) -> None:
    write_archive(tmp_path / "model.pt2", RECORDS)
    together = threading.Barrier(8)

    def read(_: int) -> list[dict[str, bytes]]:
        together.wait()
        readers = [ArchiveReader(tmp_path / "model.pt2") for _ in range(20)]
        return [{name: reader.read(name) for name in reader.names} for reader in readers]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(read, range(8)))
    assert found == [[RECORDS] * 20] * 8


def test_eight_threads_read_with_one_reader() -> None:
    reader = ArchiveReader(io.BytesIO(written(RECORDS)))
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(reader.read, ["data/weights/weight_0"] * 160)) == {RECORDS["data/weights/weight_0"]}
