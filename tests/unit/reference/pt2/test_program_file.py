"""Programs as files: ours read by torch, torch's read by us, ours read by us without a loss."""

from __future__ import annotations

import concurrent.futures
import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._export.serde.serialize
from torch.export import Dim

from pytest_exportcheck import reference
from pytest_exportcheck.errors import ArchiveError, PayloadError, SchemaWarning, UnsupportedError
from pytest_exportcheck.reference.pt2.plain.difference import difference
from pytest_exportcheck.reference.pt2.program.to_plain import plain_program


class Net(torch.nn.Module):
    """Tied weights, views of one storage, a buffer that is written to, one that is hidden, a constant."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = torch.nn.Linear(3, 3)
        self.second = torch.nn.Linear(3, 3)
        self.second.weight = self.first.weight
        base = torch.arange(8.0)
        self.register_buffer("low", base[:3])
        self.register_buffer("high", base[4:7])
        self.register_buffer("count", torch.zeros(1))
        self.register_buffer("hidden", torch.ones(3), persistent=False)
        self.constant = torch.full((3,), 0.5)

    def forward(self, x, *, scale=1.0):
        self.count.add_(1)
        y = self.second(self.first(x)) * scale
        return {"y": y + self.low + self.high + self.hidden + self.constant, "rows": x.shape[0]}


X = torch.linspace(0, 1, 12).reshape(4, 3)


@pytest.fixture
def program():
    shapes = {"x": {0: Dim("rows", min=2, max=64)}, "scale": None}
    return torch.export.export(Net(), (X,), {"scale": 2.0}, dynamic_shapes=shapes)


def saved(program, save=reference.save, **options):
    buffer = io.BytesIO()
    save(program, buffer, **options)
    buffer.seek(0)
    return buffer


def y_of(program):
    return program.module()(X, scale=2.0)["y"]


def test_nothing_is_lost(program):
    after = reference.load(saved(program))
    assert difference(plain_program(program), plain_program(after)) == {}
    assert torch.equal(y_of(after), y_of(program))
    assert after.state_dict["first.weight"] is after.state_dict["second.weight"]
    assert isinstance(after.state_dict["first.weight"], torch.nn.Parameter)
    low, high = after.state_dict["low"], after.state_dict["high"]
    assert low.untyped_storage().data_ptr() == high.untyped_storage().data_ptr()
    assert torch.equal(after.example_inputs[0][0], X) and after.example_inputs[1] == {"scale": 2.0}


def test_a_size_that_came_out_as_a_number_is_that_number():
    class Pairs(torch.nn.Module):
        def forward(self, x):
            return x.reshape(-1, 2, 3).sum(1)

    shapes = ({0: 2 * Dim("half", min=1, max=5)},)
    program = torch.export.export(Pairs(), (torch.randn(6, 3),), dynamic_shapes=shapes)
    after = reference.load(saved(program))
    assert difference(plain_program(program), plain_program(after)) == {}


def test_equal_programs_are_equal_bytes(program):
    data = saved(program).getvalue()
    assert saved(program).getvalue() == data
    assert saved(reference.load(io.BytesIO(data))).getvalue() == data


class OnDevice(torch.nn.Module):
    def forward(self, x, device, *, words):
        return x.to(device)


def test_equal_programs_are_equal_bytes_whichever_strings_are_one_object():
    """pickle writes a string that it has met once more as a reference to it, and torch's own pickles say ``cpu`` too."""
    words = {"storage": "".join(["c", "pu"]), "other": ["".join(["c", "pu"])]}
    program = torch.export.export(OnDevice(), (X, "cpu"), {"words": words})
    data = saved(program).getvalue()
    after = reference.load(io.BytesIO(data))
    assert after.example_inputs[0][1] == "cpu" and after.example_inputs[1] == {"words": words}
    assert saved(after).getvalue() == data


class Sparse(torch.nn.Module):
    def forward(self, x):
        return x.to_sparse()


def test_torch_reads_a_sparse_value_that_we_write():
    program = torch.export.export(Sparse(), (X,))
    theirs, ours = torch.export.load(saved(program)), reference.load(saved(program))
    assert torch.equal(theirs.module()(X).to_dense(), X)
    assert difference(plain_program(program), plain_program(ours)) == {}


@pytest.mark.parametrize("save", [torch.export.save, reference.save], ids=["torch", "reference"])
def test_an_operator_without_its_overload_in_metadata_comes_back(program, save):
    """Dynamo writes down what was called: ``torch.ops.aten.add``."""
    stack = [("add", torch.ops.aten.add), ("add_1", torch.ops.aten.add.Tensor), ("cond", torch.ops.higher_order.cond)]
    node = next(node for node in program.graph.nodes if node.op == "call_function")
    node.meta["source_fn_stack"] = stack
    buffer = io.BytesIO()
    save(program, buffer)
    after = next(each for each in reference.load(buffer).graph.nodes if each.name == node.name)
    assert after.meta["source_fn_stack"] == stack


def test_torch_reads_what_we_write(program):
    theirs = torch.export.load(saved(program))
    assert torch.equal(y_of(theirs), y_of(program))
    assert [node.name for node in theirs.graph.nodes] == [node.name for node in program.graph.nodes]


def test_we_read_what_torch_writes(program):
    ours = reference.load(saved(program, torch.export.save))
    assert torch.equal(y_of(ours), y_of(program))
    assert ours.range_constraints == torch.export.load(saved(program, torch.export.save)).range_constraints


def test_the_json_is_torchs_but_for_the_supplement(program):
    theirs = zipfile.ZipFile(saved(program, torch.export.save)).read("archive/models/model.json")
    ours = zipfile.ZipFile(saved(program)).read("archive/models/model.json")
    data = json.loads(ours)
    del data["exportcheck"]
    assert json.dumps(data).encode() == theirs


@pytest.mark.parametrize("place", ["path", "text", "file", "buffer"])
def test_a_program_goes_to_a_path_an_open_file_or_a_buffer(program, tmp_path, place):
    path = tmp_path / "net.pt2"
    if place in ("path", "text"):
        reference.save(program, path if place == "path" else str(path))
    else:
        with path.open("wb") as file:
            reference.save(program, file)
    source = {"path": path, "text": str(path), "file": path.open("rb"), "buffer": io.BytesIO(path.read_bytes())}[place]
    assert torch.equal(y_of(reference.load(source)), y_of(program))


def test_weights_of_a_file_are_mapped_and_writing_to_them_changes_no_file(program, tmp_path):
    path = tmp_path / "net.pt2"
    reference.save(program, path)
    before = path.read_bytes()
    loaded = reference.load(path)
    with torch.no_grad():
        loaded.state_dict["first.weight"].fill_(7)
    assert path.read_bytes() == before


def test_extra_files_are_kept(program):
    files = {"notes.txt": "", "missing.txt": ""}
    reference.load(saved(program, extra_files={"notes.txt": "grüße"}), extra_files=files)
    assert files == {"notes.txt": "grüße", "missing.txt": ""}
    theirs = {"notes.txt": ""}
    torch.export.load(saved(program, extra_files={"notes.txt": "hello"}), extra_files=theirs)
    assert theirs == {"notes.txt": "hello"}


def test_a_failed_save_leaves_the_old_file(program, tmp_path, monkeypatch):
    path = tmp_path / "net.pt2"
    path.write_bytes(b"old")
    node = next(node for node in program.graph.nodes if node.op == "call_function")
    node.target = print
    with pytest.raises(
        UnsupportedError, match=r"is not an operator that a file can name\. Wrap what it does in a custom operator"
    ):
        reference.save(program, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@dataclass
class Point:
    x: torch.Tensor
    y: torch.Tensor


torch.utils._pytree.register_dataclass(Point, serialized_type_name="tests.serde.Point")


class OfPoints(torch.nn.Module):
    def forward(self, point):
        return point.x + point.y


def test_example_inputs_of_classes_are_kept_without_a_pickle_being_read():
    program = torch.export.export(OfPoints(), (Point(torch.ones(2), torch.zeros(2)),))
    after = reference.load(saved(program))
    (point,), kwargs = after.example_inputs
    assert isinstance(point, Point) and point.x.tolist() == [1, 1] and kwargs == {}


def test_a_pickle_is_read_with_trust_only():
    program = torch.export.export(OfPoints(), (Point(torch.ones(2), torch.zeros(2)),))
    theirs = saved(program, torch.export.save)
    with pytest.raises(
        PayloadError,
        match=r"refused by torch's weights-only unpickler \(Unsupported global: GLOBAL \S+\.Point was not an allowed global by default\)\. If you trust the source of the file, pass trust=True, which may run code from it\.$",
    ):
        reference.load(theirs)
    theirs.seek(0)
    assert isinstance(reference.load(theirs, trust=True).example_inputs[0][0], Point)


def test_a_zip_of_something_else_is_refused(tmp_path):
    path = tmp_path / "other.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/b", "c")
    with pytest.raises(ArchiveError, match=r"other\.zip"):
        reference.load(path)


def test_newer_operators_are_told(program):
    buffer = saved(program, opset_version={"mine": 7})
    with pytest.warns(
        SchemaWarning, match="the program uses version 7 of the operators of 'mine', but this torch has version 5"
    ):
        reference.load(buffer, expected_opset_version={"mine": 5})


def test_eight_threads_load_one_file(program, tmp_path):
    """torch's own loader cannot: its state is a module's."""
    path = tmp_path / "net.pt2"
    reference.save(program, path)
    expected = y_of(program)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        loaded = list(pool.map(lambda _: reference.load(path), range(160)))
    assert all(torch.equal(y_of(each), expected) for each in loaded[::20])


@pytest.mark.parametrize("other", [None, torch._export.serde.serialize], ids=["ours", "torch's"])
def test_a_program_is_bytes_too(program, other):
    artifact = reference.serialize(program) if other is None else other.serialize(program)
    after = reference.deserialize(artifact)
    assert torch.equal(y_of(after), y_of(program))
    if other is None:
        assert difference(plain_program(program), plain_program(after)) == {}


def test_torch_reads_the_bytes_too(program):
    ours: Any = reference.serialize(program)  # the fields are those of torch's
    theirs = torch._export.serde.serialize.deserialize(ours)
    assert torch.equal(y_of(theirs), y_of(program))


def test_the_reader_and_writer_import_nothing_of_torchs_own():
    """Also held by ruff; what is imported at run time shows here."""
    package = Path(reference.__file__).parent / "serde"
    for file in package.rglob("*.py"):
        for line in file.read_text().splitlines():
            if "import" in line and "verifier" not in line:
                assert "torch._export" not in line and "pt2_archive" not in line and "export._trace" not in line, file


def test_a_module_is_not_a_program():
    module: Any = torch.nn.ReLU()
    with pytest.raises(TypeError) as caught:
        reference.save(module, io.BytesIO())
    assert str(caught.value) == (
        "The 'ep' parameter must be an instance of 'ExportedProgram', got 'ReLU' instead. Export the module first."
    )


def test_a_file_that_is_half_of_an_older_torch_is_refused():
    file = io.BytesIO()
    torch.export.save(torch.export.export(torch.nn.ReLU(), (torch.ones(1),)), file)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("version", "5.2")
    file.seek(0)
    with pytest.raises(ArchiveError) as caught:
        reference.load(file)
    assert str(caught.value) == (
        "the BytesIO is not an archive of a program: it has a record 'version' outside of a root folder, as files of torch 2.7 and "
        "older, but no record 'serialized_exported_program.json'. Save the program with torch.export.save."
    )


class TensorInBranch(torch.nn.Module):
    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda x: (x + torch.tensor([1.0, 2.0]),), lambda x: (x * 2,), (x,))


def test_a_tensor_that_a_branch_holds_is_refused_with_a_remedy_that_helps():
    """torch's run_decompositions() raises on such a program, and its captures keep the tensor there."""
    program = torch.export.export(TensorInBranch(), (torch.ones(2),))
    with pytest.raises(UnsupportedError) as refused:
        reference.save(program, io.BytesIO())
    assert str(refused.value).endswith(
        "node get_attr true_graph_0._tensor_constant0 reads a Tensor; a program holds tensors as inputs of its graph and graphs "
        "as attributes. Register the tensor as a buffer of the model, or pass it to the operator as an operand, and export again."
    )
