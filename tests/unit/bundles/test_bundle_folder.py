"""Folders of bundles are written whole or not at all."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_exportcheck.bundles.folder import folder_name, write_folder
from pytest_exportcheck.errors import BundleError


def _filled(nodeid: str, text: str = "") -> Callable[[Path], None]:
    def fill(folder: Path) -> None:
        (folder / "finding.json").write_text(json.dumps({"outcome": {"nodeid": nodeid}, "text": text}))

    return fill


def _text(folder: Path) -> str:
    return str(json.loads((folder / "finding.json").read_text())["text"])


def test_a_bundle_of_the_same_item_is_replaced(tmp_path: Path) -> None:
    made = [write_folder(tmp_path / "new", "Net-torch", "a::Net", _filled("a::Net", text)) for text in ("old", "new")]
    assert made == [tmp_path / "new" / "Net-torch"] * 2
    assert (_text(made[0]), [each.name for each in (tmp_path / "new").iterdir()]) == ("new", ["Net-torch"])


def test_another_item_of_the_same_name_has_a_folder_with_a_number(tmp_path: Path) -> None:
    one = write_folder(tmp_path, "Net-torch", "a::Net", _filled("a::Net"))
    other = write_folder(tmp_path, "Net-torch", "b::Net", _filled("b::Net"))
    again = write_folder(tmp_path, "Net-torch", "b::Net", _filled("b::Net"))
    assert (one.name, other.name, again) == ("Net-torch", "Net-torch-b51f3d1d", other)


def test_a_folder_of_the_user_is_kept(tmp_path: Path) -> None:
    for name in ("Net", "Net-338b4fb3"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.txt").write_text("kept")
    with pytest.raises(BundleError) as caught:
        write_folder(tmp_path, "Net", "a::Net", _filled("a::Net"))
    assert str(caught.value) == (
        f"no bundle is written for a::Net: {tmp_path / 'Net-338b4fb3'} exists and is not a bundle of it. Delete it, or name "
        "another folder with --exportcheck-repro-dir."
    )
    assert sorted(each.name for each in tmp_path.iterdir()) == ["Net", "Net-338b4fb3"]


def test_nothing_remains_where_the_disk_is_full(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    write_folder(tmp_path, "Net", "a::Net", _filled("a::Net", "old"))
    with pytest.raises(BundleError) as caught:
        write_folder(tmp_path, "Net", "a::Net", fill)
    assert str(caught.value) == (
        f"no bundle is written for a::Net: No space left on device ({tmp_path}). Name another folder with "
        "--exportcheck-repro-dir, or free space there."
    )
    assert ([each.name for each in tmp_path.iterdir()], _text(tmp_path / "Net")) == (["Net"], "old")


def test_a_place_that_cannot_be_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError) as caught:
        write_folder(tmp_path / "file", "Net", "a::Net", _filled("a::Net"))
    assert str(caught.value) == (
        f"no bundle is written for a::Net: Not a directory ({tmp_path / 'file'}). Name another folder with "
        "--exportcheck-repro-dir, or free space there."
    )


def test_names_are_readable() -> None:
    assert folder_name("test_net[a/b]-Net", "torch", "nonstrict-serdes") == "test_net_a_b_-Net-torch-nonstrict-serdes"
