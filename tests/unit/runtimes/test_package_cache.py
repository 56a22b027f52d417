"""The folder of packages: what is read is what was written for the same key, and no fault of the folder ends a run."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

import pytest

from pytest_exportcheck.runtimes import package_cache, package_file
from pytest_exportcheck.runtimes.package_cache import PackageCache
from pytest_exportcheck.runtimes.protocol import Fact

KEY = {"graph": "1", "torch": "2"}
FACTS: Mapping[str, Fact] = {"compile seconds": 3.5, "nodes": 2, "precision": "f32"}
FILES = {"model.bin": b"\0weights" * 100, "folder/data.json": b"{}", "empty": b""}


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Return the folder of a cache."""
    return tmp_path / "kept"


@pytest.fixture
def cache(kept: Path) -> PackageCache:
    return PackageCache(lambda: kept, limit=10_000)


def a_package(folder: Path, files: Mapping[str, bytes] = FILES) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def content_of(folder: Path) -> dict[str, bytes]:
    return {
        each.relative_to(folder).as_posix(): each.read_bytes() for each in sorted(folder.rglob("*")) if each.is_file()
    }


def empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


def the_file(kept: Path) -> Path:
    (found,) = kept.iterdir()
    return found


def test_a_package_is_read_as_it_was_written(cache: PackageCache, tmp_path: Path) -> None:
    cache.keep(KEY, a_package(tmp_path / "made"), FACTS)
    into = empty(tmp_path / "read")
    assert cache.fetch(KEY, into) == FACTS
    assert content_of(into) == dict(sorted(FILES.items()))


@pytest.mark.parametrize("other", [{"graph": "1"}, {"graph": "1", "torch": "3"}, {**KEY, "more": ""}])
def test_another_key_has_no_package(cache: PackageCache, tmp_path: Path, other: Mapping[str, str]) -> None:
    cache.keep(KEY, a_package(tmp_path / "made"), FACTS)
    assert cache.fetch(other, empty(tmp_path / "read")) is None


def _cut(at: float) -> Callable[[Path], None]:
    return lambda file: os.truncate(file, int(file.stat().st_size * at))


def _flip(at: float) -> Callable[[Path], None]:
    def flipped(file: Path) -> None:
        content = bytearray(file.read_bytes())
        content[int(len(content) * at)] ^= 1
        file.write_bytes(content)

    return flipped


def _of_another_key(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content.replace(b'"torch": "2"', b'"torch": "3"'))


@pytest.mark.parametrize(
    "damage",
    [
        *(_cut(at) for at in (0, 0.02, 0.03, 0.1, 0.5, 0.99)),
        *(_flip(at) for at in (0, 0.03, 0.1, 0.5, 0.999)),
        lambda file: file.write_bytes(b"not a package"),
        lambda file: file.write_bytes(b"pytest-exportcheck package 1\n" + b"\xff" * 8 + b"{"),
        lambda file: file.write_bytes(b"pytest-exportcheck package 1\n" + (2).to_bytes(8, "little") + b"[]"),
        lambda file: file.write_bytes(file.read_bytes() + b"more"),
        _of_another_key,
    ],
)
def test_a_damaged_file_is_not_read_and_is_replaced(
    cache: PackageCache, kept: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    made = a_package(tmp_path / "made")
    cache.keep(KEY, made, FACTS)
    damage(the_file(kept))
    into = empty(tmp_path / "read")
    assert cache.fetch(KEY, into) is None
    assert list(into.iterdir()) == []
    cache.keep(KEY, made, FACTS)
    assert cache.fetch(KEY, into) == FACTS
    assert cache.notices.lines == ()


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "a/../../outside", ""])
def test_a_file_outside_of_the_folder_is_not_written(
    monkeypatch: pytest.MonkeyPatch, kept: Path, tmp_path: Path, name: str
) -> None:
    monkeypatch.setattr(Path, "as_posix", lambda self: name)  # as a foreign writer does
    with (tmp_path / "foreign").open("wb") as file:
        package_file.write_package(file, KEY, a_package(tmp_path / "made", {"model": b"1"}), FACTS)
    monkeypatch.undo()
    into = empty(tmp_path / "read")
    with pytest.raises(package_file.Unreadable):
        package_file.read_package(tmp_path / "foreign", KEY, into)
    assert not (tmp_path / "outside").exists()


def _full(folder: Path) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_reported_once_and_leaves_no_file(
    monkeypatch: pytest.MonkeyPatch, cache: PackageCache, kept: Path, tmp_path: Path
) -> None:
    def write(stream: BinaryIO, *_: object) -> None:
        stream.write(b"some")
        _full(kept)

    monkeypatch.setattr(package_cache, "write_package", write)
    made = a_package(tmp_path / "made")
    cache.keep(KEY, made, FACTS)
    cache.keep({"graph": "2"}, made, FACTS)
    assert list(kept.iterdir()) == []
    assert cache.notices.lines == (
        f"packages of runtimes are not kept for the next run: No space left on device: {kept}. Choose another folder with "
        "--exportcheck-runtime-cache=DIR, or turn this off with --exportcheck-runtime-cache=off.",
    )


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = PackageCache(lambda: tmp_path / "file" / "kept", limit=10_000)
    assert cache.fetch(KEY, empty(tmp_path / "read")) is None
    cache.keep(KEY, a_package(tmp_path / "made"), FACTS)
    (line,) = cache.notices.lines
    assert line.startswith("packages of runtimes are not kept for the next run: Not a directory: ")


def test_a_folder_that_pytest_cannot_make_is_reported(tmp_path: Path) -> None:
    def refused() -> Path:
        raise PermissionError(errno.EACCES, "Permission denied")

    cache = PackageCache(refused, limit=10_000)
    assert cache.fetch(KEY, empty(tmp_path / "read")) is None
    cache.keep(KEY, a_package(tmp_path / "made"), FACTS)
    cache.clear()
    (line,) = cache.notices.lines
    assert line.startswith("packages of runtimes are not kept for the next run: Permission denied. Choose")


def test_a_folder_that_can_only_be_read_is_read(
    monkeypatch: pytest.MonkeyPatch, cache: PackageCache, tmp_path: Path
) -> None:
    cache.keep(KEY, a_package(tmp_path / "made"), FACTS)

    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "utime", refused)
    monkeypatch.setattr(package_cache, "whole_file", refused)
    assert cache.fetch(KEY, empty(tmp_path / "read")) == FACTS
    assert cache.notices.lines == ()
    cache.keep({"graph": "2"}, tmp_path / "made", FACTS)
    assert len(cache.notices.lines) == 1


def _kept_names(cache: PackageCache, tmp_path: Path, numbers: range) -> list[int]:
    found = []
    for number in numbers:
        into = empty(tmp_path / f"read {number} {time.monotonic_ns()}")
        found += [number] if cache.fetch({"graph": str(number)}, into) is not None else []
    return found


def test_the_packages_that_were_not_used_for_longest_are_removed(kept: Path, tmp_path: Path) -> None:
    cache = PackageCache(lambda: kept, limit=3_600)
    made = a_package(tmp_path / "made", {"model": b"x" * 1000})
    long_ago = time.time() - 1000
    for number in range(3):
        cache.keep({"graph": str(number)}, made, {})
        newest = max(kept.iterdir(), key=lambda each: each.stat().st_mtime)
        os.utime(newest, (long_ago + number, long_ago + number))
    assert cache.fetch({"graph": "0"}, empty(tmp_path / "read")) == {}  # now it is the last that was used
    (kept / "of a user.package").write_bytes(b"x" * 9000)
    cache.keep({"graph": "3"}, made, {})
    assert _kept_names(cache, tmp_path, range(4)) == [0, 2, 3]
    assert (kept / "of a user.package").exists()


def test_a_package_larger_than_the_limit_is_not_kept(kept: Path, tmp_path: Path) -> None:
    cache = PackageCache(lambda: kept, limit=999)
    cache.keep({"graph": "0"}, a_package(tmp_path / "made", {"model": b"x" * 1000}), {})
    assert not kept.exists()


def test_unfinished_files_of_killed_processes_are_removed(cache: PackageCache, kept: Path, tmp_path: Path) -> None:
    kept.mkdir()
    old, new = kept / f".{'0' * 16}.tmp", kept / f".{'1' * 16}.tmp"
    for file in (old, new):
        file.write_bytes(b"part")
    os.utime(old, (time.time() - 4000,) * 2)
    cache.keep(KEY, a_package(tmp_path / "made"), FACTS)
    assert (old.exists(), new.exists()) == (False, True)


def test_clear_removes_the_packages_and_nothing_else(cache: PackageCache, kept: Path, tmp_path: Path) -> None:
    cache.keep(KEY, a_package(tmp_path / "made"), FACTS)
    (kept / "notes.txt").write_text("mine")
    cache.clear()
    assert [each.name for each in kept.iterdir()] == ["notes.txt"]


def test_without_a_folder_nothing_is_kept(tmp_path: Path) -> None:
    cache = PackageCache()
    assert not cache.is_on
    cache.clear()
    assert cache.notices.lines == ()


def test_processes_that_share_a_folder_read_whole_packages_or_none(kept: Path, tmp_path: Path) -> None:
    """Four writers of the same keys with a limit that removes packages all the time, and a reader."""
    contents = [{"model": bytes([number]) * 3000} for number in range(4)]
    wrong: list[object] = []

    def work(worker: int) -> None:
        cache = PackageCache(lambda: kept, limit=7_000)
        for turn in range(25):
            number = (worker + turn) % 4
            into = empty(tmp_path / f"{worker}-{turn}")
            facts = cache.fetch({"graph": str(number)}, into)
            if facts is None:
                cache.keep({"graph": str(number)}, a_package(into, contents[number]), {"number": number})
            elif (facts, content_of(into)) != ({"number": number}, contents[number]):
                wrong.append((worker, turn))
        wrong.extend(cache.notices.lines)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert wrong == []
