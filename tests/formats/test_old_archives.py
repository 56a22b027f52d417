"""Archives that torch 2.5 to 2.14 wrote: the reference reader reads them, and the programs compute what eager did."""

from __future__ import annotations

import copy
import io
import operator
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from pytest_exportcheck import reference
from pytest_exportcheck.cli import main
from pytest_exportcheck.errors import ArchiveError, PayloadError, SchemaError

ARCHIVES = Path(__file__).parent / "archives"
VERSIONS = sorted((path.name for path in ARCHIVES.iterdir()), key=lambda name: int(name.partition(".")[2]))
FILES = [
    pytest.param(path, id=f"{version}-{path.stem}")
    for version in VERSIONS
    for path in sorted((ARCHIVES / version).glob("*.pt2"))
    if path.stem != "several"
]
SEVERAL = [version for version in VERSIONS if (ARCHIVES / version / "several.pt2").exists()]


def test_every_version_since_2_5_is_there() -> None:
    assert [f"2.{minor}" for minor in range(5, 15)] == VERSIONS
    assert [f"2.{minor}" for minor in range(8, 15)] == SEVERAL
    assert len(FILES) == 11 * len(VERSIONS)


@pytest.mark.parametrize("path", FILES)
def test_a_program_of_an_older_torch_computes_what_eager_did(path: Path) -> None:
    _assert_computes(reference.load(path), path.with_suffix(".io.pt"))


@pytest.mark.parametrize("version", SEVERAL)
def test_several_programs_of_one_archive_are_read(version: str) -> None:
    found = reference.load_programs(ARCHIVES / version / "several.pt2")
    assert list(found) == ["linear", "batch"]
    for name, program in found.items():
        _assert_computes(program, ARCHIVES / version / f"{name}.io.pt")


def _assert_computes(program: ExportedProgram, io_file: Path) -> None:
    for each in torch.load(io_file, weights_only=True):
        args, kwargs = copy.deepcopy((each["args"], each["kwargs"]))
        torch.testing.assert_close(
            _leaves(copy.deepcopy(program).module()(*args, **kwargs)), _leaves(each["outputs"]), equal_nan=True
        )
        torch.testing.assert_close(_leaves(args), _leaves(each["args_after"]))


def _leaves(value: Any) -> list[Any]:
    return [leaf for leaf in pytree.tree_leaves(value) if leaf is not None]


#: Archives that the loader of torch 2.14 refuses: schema 7, and control flow as torch 2.6 stored it.
REFUSED_BY_TORCH = ("2.5-", "2.6-branches")


@pytest.mark.parametrize("path", [each for each in FILES if not str(each.id).startswith(REFUSED_BY_TORCH)])
def test_a_program_of_an_older_torch_is_that_of_the_loader_of_torch(path: Path) -> None:
    ours, theirs = reference.load(path), torch.export.load(path)
    assert _described(ours) == _described(theirs)
    torch.testing.assert_close(dict(ours.state_dict), dict(theirs.state_dict), equal_nan=True, rtol=0, atol=0)


def _described(program: ExportedProgram) -> dict[str, Any]:
    return {
        "nodes": [
            (node.op, str(node.target))
            for node in program.graph.nodes
            if node.users or node.target is not operator.getitem  # torch's loader adds those that nobody uses
        ],
        "signature": str(program.graph_signature),
        "ranges": {str(symbol): str(bounds) for symbol, bounds in program.range_constraints.items()},
        "call": str(program.call_spec),
        "state": [(name, type(value)) for name, value in program.state_dict.items()],
        "constants": list(program.constants),
    }


def test_tied_weights_of_older_archives_stay_tied() -> None:
    for version in VERSIONS:
        state = reference.load(ARCHIVES / version / "tied.pt2").state_dict
        one, other = state["embedding.weight"], state["head.weight"]
        assert one.data_ptr() == other.data_ptr()


@pytest.mark.parametrize("version", ["2.5", "2.7", "2.8"])
def test_older_archives_are_inspected_and_compared(version: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = ARCHIVES / version / "tied.pt2"
    assert main(["inspect", str(path)]) == 0
    assert f"written by torch {version}." in capsys.readouterr().out
    assert main(["diff", str(path), str(ARCHIVES / "2.14" / "tied.pt2")]) in (0, 1)
    assert "tied.pt2" in capsys.readouterr().out


def test_several_programs_are_written_and_read_by_both_readers(tmp_path: Path) -> None:
    programs = reference.load_programs(ARCHIVES / "2.14" / "several.pt2")
    file = tmp_path / "several.pt2"
    reference.save_programs(programs, file, extra_files={"note": "two programs"})
    assert list(reference.load_programs(file)) == ["linear", "batch"]
    extra = {"note": ""}
    one = reference.load(file, program="batch", extra_files=extra)
    assert (str(one.graph), extra) == (str(programs["batch"].graph), {"note": "two programs"})
    from torch.export.pt2_archive._package import load_pt2

    theirs = load_pt2(str(file)).exported_programs
    assert {name: str(each.graph) for name, each in theirs.items()} == {
        name: str(each.graph) for name, each in programs.items()
    }
    x = torch.ones(2, 4)
    assert torch.equal(theirs["linear"].module()(x), programs["linear"].module()(x))


def test_a_program_of_several_must_be_named(tmp_path: Path) -> None:
    file = ARCHIVES / "2.14" / "several.pt2"
    with pytest.raises(ArchiveError) as caught:
        reference.load(file)
    assert str(caught.value) == (f"{file} has 2 programs: linear, batch. Choose one of them: load(file, program=NAME).")
    with pytest.raises(ArchiveError) as caught:
        reference.load(file, program="decode")
    assert str(caught.value) == f"{file} has no program 'decode'. Its programs: linear, batch."


@pytest.mark.parametrize("name", ["", "a/b", ".."])
def test_a_name_that_no_record_can_have_is_refused(name: str) -> None:
    program = reference.load(ARCHIVES / "2.14" / "linear.pt2")
    with pytest.raises(ValueError, match="cannot be the name of a program in a file"):
        reference.save_programs({name: program}, io.BytesIO())
    with pytest.raises(ValueError, match="there is no program to save"):
        reference.save_programs({}, io.BytesIO())


# --- damaged and hostile ones ---------------------------------------------------------------


def _with(path: Path, place: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """Copy an archive with other records; None leaves one out."""
    with zipfile.ZipFile(path) as given, zipfile.ZipFile(place, "w") as made:
        for name in given.namelist():
            data = change(name, given.read(name))
            if data is not None:
                made.writestr(name, data)
    return place


@pytest.mark.parametrize(
    ("record", "data", "error"),
    [
        ("serialized_exported_program.json", b"{", SchemaError),
        ("serialized_exported_program.json", b"[" * 100_000, SchemaError),
        ("serialized_exported_program.json", b'{"schema_version": {"major": 5, "minor": 1}}', SchemaError),
        ("serialized_exported_program.json", b'{"schema_version": {"major": 7, "minor": 3}}', SchemaError),
        ("serialized_exported_program.json", None, ArchiveError),
        ("serialized_state_dict.pt", b"not a zip", PayloadError),
        ("serialized_state_dict.pt", None, ArchiveError),
        ("serialized_example_inputs.pt", b"\x80\x02.", PayloadError),
    ],
)
def test_a_damaged_archive_of_an_older_torch_is_refused(
    tmp_path: Path, record: str, data: bytes | None, error: type[Exception]
) -> None:
    path = _with(ARCHIVES / "2.5" / "linear.pt2", tmp_path / "x.pt2", lambda name, old: data if name == record else old)
    with pytest.raises(error):
        reference.load(path)


class _Runs:
    def __reduce__(self) -> Any:
        return (shutil.rmtree, ("nothing",))


@pytest.mark.parametrize("record", ["serialized_state_dict.pt", "serialized_constants.pt"])
@pytest.mark.parametrize("value", [{"first.weight": _Runs()}, [torch.ones(1)], {1: torch.ones(1)}, {"a": "text"}])
def test_no_pickle_of_an_older_archive_runs(tmp_path: Path, record: str, value: Any) -> None:
    pickled = io.BytesIO()
    torch.save(value, pickled)
    path = _with(
        ARCHIVES / "2.5" / "linear.pt2",
        tmp_path / "x.pt2",
        lambda name, old: pickled.getvalue() if name == record else old,
    )
    with pytest.raises(PayloadError):
        reference.load(path)


@pytest.mark.parametrize("record", ["serialized_state_dict.pt", "serialized_example_inputs.pt"])
def test_no_pickle_allocates_memory_at_will(tmp_path: Path, record: str) -> None:
    pickled = io.BytesIO()
    torch.save({"first.weight": torch.ones(1)}, pickled)
    with zipfile.ZipFile(pickled) as given:
        names = given.namelist()
        program = b"\x80\x02cbuiltins\nbytearray\nJ\x00\x00\x00\x40\x85R."
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as changed:
            for name in names:
                changed.writestr(name, program if name.endswith("data.pkl") else given.read(name))
    path = _with(
        ARCHIVES / "2.5" / "linear.pt2",
        tmp_path / "x.pt2",
        lambda name, old: made.getvalue() if name == record else old,
    )
    with pytest.raises(PayloadError, match="it creates a bytearray, which may have any size"):
        reference.load(path)


@pytest.mark.parametrize(
    "text",
    [
        b'{"schema_version": {"major": 7, "major": 7, "minor": 3}}',
        '{"schema_version": {"major": 7, "minor": 3}}'.encode("utf-16"),
    ],
)
def test_json_of_schema_7_is_read_as_strictly_as_any_other(tmp_path: Path, text: bytes) -> None:
    path = _with(
        ARCHIVES / "2.5" / "linear.pt2",
        tmp_path / "x.pt2",
        lambda name, old: text if name == "serialized_exported_program.json" else old,
    )
    with pytest.raises(SchemaError, match=r"expected (UTF-8|each key once|JSON)|twice"):
        reference.load(path)
