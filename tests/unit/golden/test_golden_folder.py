"""Golden folders that were edited by hand, half written, or are not files: one line each, with what to do."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_exportcheck.errors import GoldenError
from pytest_exportcheck.golden.folder import (
    CALLS,
    FACTS,
    MOST_BYTES,
    PROGRAM,
    digest,
    read_golden,
    remove_golden,
    stored_cases,
    stored_versions,
    version_name,
    write_golden,
)
from pytest_exportcheck.records.golden import GoldenFacts, Interface

CONTENTS = {PROGRAM: b"program", CALLS: b"calls"}
AGAIN = "Restore the folder or delete it; --exportcheck-update-golden writes the one of the running torch again."


def _facts(**more: str) -> GoldenFacts:
    given = {"case": "Net", "torch": "2.13.0+cpu", **more}
    return GoldenFacts(
        case=given["case"],
        torch=given["torch"],
        exportcheck="1.0",
        capture="nonstrict",
        machine="x86_64",
        cpu_capability="AVX2",
        threads=1,
        interface=Interface(inputs=(), outputs=()),
        calls=(),
        files={name: digest(content) for name, content in CONTENTS.items()},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a whole golden program."""
    made = tmp_path / "golden" / "Net" / "2.13.0"
    write_golden(made, _facts(), CONTENTS)
    return made


def _message(folder: Path, case: str = "Net") -> str:
    with pytest.raises(GoldenError) as raised:
        read_golden(folder, case)
    return str(raised.value)


def test_what_is_written_is_read(folder: Path) -> None:
    found = read_golden(folder, "Net")
    assert (found.facts, found.program, found.calls) == (_facts(), b"program", b"calls")
    assert stored_cases(folder.parents[1]) == ["Net"]
    assert sorted(path.name for path in folder.parent.iterdir()) == ["2.13.0"]


def test_versions_are_in_their_order(folder: Path) -> None:
    for name in ("2.9.1", "2.15.0.dev20260101", ".hidden"):
        (folder.parent / name).mkdir()
    (folder.parent / "README.md").touch()
    assert stored_versions(folder.parents[1], "Net") == ["2.9.1", "2.13.0", "2.15.0.dev20260101"]


def test_a_case_without_a_folder_has_no_versions(tmp_path: Path) -> None:
    assert (stored_cases(tmp_path / "none"), stored_versions(tmp_path, "Net")) == ([], [])


@pytest.mark.parametrize(
    ("version", "name"), [("2.14.1+cu130", "2.14.1"), ("2.15.0.dev20261101+cpu", "2.15.0.dev20261101")]
)
def test_a_folder_is_named_without_the_build(version: str, name: str) -> None:
    assert version_name(version) == name


def _edit(change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        facts = json.loads((folder / FACTS).read_bytes())
        change(facts)
        (folder / FACTS).write_text(json.dumps(facts), encoding="utf-8")

    return edit


def _as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n"

#: What happened to the folder -> the edit, and the message, in which F is the folder.
DAMAGED: dict[str, tuple[Callable[[Path], object], str]] = {
    "no facts": (
        lambda folder: (folder / FACTS).unlink(),
        f"F is not a whole golden program: it has no facts.json. {AGAIN}",
    ),
    "no program": (
        lambda folder: (folder / PROGRAM).unlink(),
        f"F is not a whole golden program: it has no program.pt2. {AGAIN}",
    ),
    "no calls": (
        lambda folder: (folder / CALLS).unlink(),
        f"F is not a whole golden program: it has no io.pt. {AGAIN}",
    ),
    "half a program": (
        lambda folder: (folder / PROGRAM).write_bytes(b"prog"),
        f"F/program.pt2 is not the file that facts.json was written with: it was edited, or changes now. {AGAIN}",
    ),
    "edited calls": (
        lambda folder: (folder / CALLS).write_bytes(b"others"),
        f"F/io.pt is not the file that facts.json was written with: it was edited, or changes now. {AGAIN}",
    ),
    "a pointer": (
        lambda folder: (folder / PROGRAM).write_bytes(POINTER),
        "F/program.pt2 is a pointer of Git LFS, not the file itself. Fetch the file: git lfs pull.",
    ),
    "facts as a pointer": (
        lambda folder: (folder / FACTS).write_bytes(POINTER),
        "F/facts.json is a pointer of Git LFS, not the file itself. Fetch the file: git lfs pull.",
    ),
    "a folder": (lambda folder: _as_folder(folder / PROGRAM), f"F/program.pt2 is not a file. {AGAIN}"),
    "a pipe": (lambda folder: _as_pipe(folder / CALLS), f"F/io.pt is not a file. {AGAIN}"),
    "a large file": (
        lambda folder: os.truncate(folder / PROGRAM, MOST_BYTES + 1),
        f"F/program.pt2 has 5.0 MB, and a golden program has at most 5 MB. {AGAIN}",
    ),
    "half of the facts": (
        lambda folder: (folder / FACTS).write_bytes((folder / FACTS).read_bytes()[:60]),
        f"F/facts.json is not of a golden program (Input data was truncated). {AGAIN}",
    ),
    "a conflict of Git": (
        lambda folder: (folder / FACTS).write_bytes(b"<<<<<<< HEAD\n{}"),
        f"F/facts.json is not of a golden program (JSON is malformed: invalid character (byte 0)). {AGAIN}",
    ),
    "another schema": (
        _edit(lambda facts: facts.update(schema="exportcheck-bundle")),
        f"F/facts.json is not of a golden program: its schema is 'exportcheck-bundle', expected 'exportcheck-golden'. {AGAIN}",
    ),
    "a newer plugin": (
        _edit(lambda facts: facts.update(version="2.0")),
        "F/facts.json has version 2.0, and this pytest-exportcheck reads up to 1.0. Install the version of pytest-exportcheck "
        "that wrote it, or a newer one.",
    ),
    "a wrong field": (
        _edit(lambda facts: facts.update(threads="many")),
        f"F/facts.json is damaged: Expected `int`, got `str` - at `$.threads`. {AGAIN}",
    ),
    "no digest": (
        _edit(lambda facts: facts.update(files={})),
        f"F/program.pt2 is not the file that facts.json was written with: it was edited, or changes now. {AGAIN}",
    ),
    "another version": (
        _edit(lambda facts: facts.update(torch="2.14.1+cpu")),
        "F was written by torch 2.14.1+cpu, as facts.json says. Rename the folder to 2.14.1.",
    ),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_folder_is_one_line(folder: Path, damage: str) -> None:
    edit, message = DAMAGED[damage]
    edit(folder)
    assert _message(folder).replace(str(folder), "F") == message


def test_the_golden_program_of_another_case_is_refused(folder: Path) -> None:
    assert _message(folder, "Other").replace(str(folder), "F") == (
        "F is the golden program of the case 'Net', not of 'Other': facts.json says so. Rename the folder back, or delete it "
        "and write a golden program of this case with --exportcheck-update-golden."
    )


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_refused(folder: Path) -> None:
    (folder / CALLS).chmod(0)
    assert _message(folder) == f"{folder / CALLS} cannot be read: Permission denied. Correct its permissions."


def test_a_folder_without_a_version_is_refused(folder: Path) -> None:
    (folder.parent / "latest").mkdir()
    with pytest.raises(GoldenError) as raised:
        stored_versions(folder.parents[1], "Net")
    assert str(raised.value) == (
        f"{folder.parent / 'latest'} is not named by a version of torch, such as 2.13.0. Rename the folder, or delete it."
    )


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "golden").touch()
    with pytest.raises(GoldenError) as raised:
        stored_cases(tmp_path / "golden")
    assert str(raised.value) == f"{tmp_path / 'golden'} is not a folder. Name a folder with --exportcheck-golden."


def test_a_large_program_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(GoldenError) as raised:
        write_golden(tmp_path / "Net" / "2.13.0", _facts(), {PROGRAM: bytes(MOST_BYTES), CALLS: b"12"})
    assert str(raised.value) == (
        "no golden program of Net is written: it would have 5.0 MB (program.pt2 5.0 MB, io.pt 0.0 MB), and a golden program "
        "has at most 5 MB. Give the case fewer or smaller layers, or smaller inputs: the program has the same operators then. "
        "Or leave the case out: -k."
    )
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "golden").touch()
    folder = tmp_path / "golden" / "Net" / "2.13.0"
    with pytest.raises(GoldenError) as raised:
        write_golden(folder, _facts(), CONTENTS)
    assert str(raised.value) == (
        f"{folder} cannot be written: Not a directory. Name another folder with --exportcheck-golden."
    )


def test_only_golden_programs_are_deleted(folder: Path) -> None:
    (folder / "notes.txt").touch()
    with pytest.raises(GoldenError) as raised:
        remove_golden(folder.parent)
    assert str(raised.value) == (
        f"{folder.parent} is not deleted: {folder / 'notes.txt'} is not a file of a golden program. Delete it by hand."
    )
    (folder / "notes.txt").unlink()
    remove_golden(folder.parent)
    assert list(folder.parents[1].iterdir()) == []
