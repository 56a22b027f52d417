"""A file is written whole or not at all."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from pytest_exportcheck.atomic_file import whole_file, write_whole
from pytest_exportcheck.reference.pt2.archive import write_archive


def refuse(*_: Any, **__: Any) -> Any:
    raise OSError(28, "No space left on device")


def test_a_block_that_raises_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), whole_file(path) as file:
        file.write(b"new")
        raise KeyboardInterrupt
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("file", b"old")]


def test_nobody_sees_the_file_before_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with whole_file(path) as file:
        file.write(b"new")
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == b"new"


def test_what_a_link_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_file_that_is_replaced_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch(0o600)
    write_whole(path, b"new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_new_file_has_the_mode_that_any_new_file_has(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    write_whole(tmp_path / "file", b"new")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="there is no /dev/null")
def test_a_device_is_written_and_not_replaced() -> None:
    write_whole(Path("/dev/null"), b"new")
    assert Path("/dev/null").is_char_device()


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path, b"new")


def test_the_folder_of_a_whole_file_is_made(tmp_path: Path) -> None:
    write_whole(tmp_path / "a" / "b", b"new")
    assert (tmp_path / "a" / "b").read_bytes() == b"new"


def test_an_archive_whose_record_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="No space left"):
        write_archive(path, {"a": b"much", "b": refuse})
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("model.pt2", b"old")]


def test_an_archive_that_cannot_take_its_place_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.pt2"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="No space left"):
        write_archive(path, {"a": b"much"})
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("model.pt2", b"old")]


def test_an_archive_in_no_folder_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_archive(tmp_path / "none" / "model.pt2", {})
    assert list(tmp_path.iterdir()) == []


class Full(io.BytesIO):
    """A buffer on a full disk: it takes a hundred bytes."""

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > 100:
            super().write(data[:50])
            refuse()
        return super().write(data)


def test_what_a_failed_save_wrote_to_an_open_file_is_cut_off() -> None:
    buffer = Full(b"before")
    buffer.seek(6)
    with pytest.raises(OSError, match="No space left"):
        write_archive(buffer, {"a": b"much" * 50})
    assert (buffer.getvalue(), buffer.tell()) == (b"before", 6)


class Stuck(io.BytesIO):
    """A buffer that takes nothing and does not say why."""

    def write(self, data: Any) -> int:
        return 0


def test_a_file_that_takes_nothing_is_an_error() -> None:
    with pytest.raises(OSError) as caught:
        write_archive(Stuck(), {})
    assert str(caught.value) == "the Stuck accepts no more bytes; 64 bytes are left to write"
