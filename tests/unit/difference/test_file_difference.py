"""Two files are compared as data: equal programs are equal, and each difference is named."""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path

import pytest
import torch

from pytest_exportcheck import reference
from pytest_exportcheck.difference.compare import difference, difference_of_files
from pytest_exportcheck.difference.files import read_program
from pytest_exportcheck.errors import ArchiveError
from pytest_exportcheck.reference.pt2.archive import ArchiveReader, write_archive
from pytest_exportcheck.reports.diff import difference_lines, line_text
from tests.hostile import ways
from tests.hostile.programs import samples
from tests.hostile.watching import watched

BATCH = torch.export.Dim("b", min=2, max=9)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
        self.head.weight = self.embed.weight
        self.register_buffer("count", torch.zeros(()), persistent=False)
        self.scale = torch.tensor([1.0, 2.0, 3.0, 4.0])

    def forward(self, x):
        return self.head(self.act(self.embed(x) * self.scale))

    def act(self, x):
        return torch.relu(x)


class Renamed(Net):
    def forward(self, rows):
        return self.head(self.act(self.embed(rows) * self.scale))


class Gelu(Net):
    def act(self, x):
        return torch.nn.functional.gelu(x + 1)


def edited(change):
    net = Net()
    with torch.no_grad():
        change(net)
    return net


def _weight(net):
    net.embed.bias[1] += 0.25


def _constant(net):
    net.scale[2] = 7


def _split(net):
    net.head.weight = torch.nn.Parameter(net.embed.weight.clone())


def exported(net, *, dims=BATCH):
    return reference.export(net, (torch.ones(3, 4),), dynamic_shapes=({0: dims},) if dims else None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of one program and of its variations."""
    folder = tmp_path_factory.mktemp("programs")
    base = exported(Net())
    programs = {
        "base": base,
        "again": exported(Net()),
        "weight": exported(edited(_weight)),
        "constant": exported(edited(_constant)),
        "split": exported(edited(_split)),
        "static": exported(Net(), dims=None),
        "narrow": exported(Net(), dims=torch.export.Dim("b", min=3, max=8)),
        "renamed": exported(Renamed()),
        "gelu": exported(Gelu()),
        "lowered": base.run_decompositions(),
    }
    for name, program in programs.items():
        reference.save(program, folder / f"{name}.pt2")
    torch.export.save(base, folder / "by-torch.pt2")
    return folder


@pytest.fixture
def compared(folder):
    """The difference of the base and a variation, and its lines without those about the files."""

    def compare(name, *, verbose=False, **options):
        found = difference_of_files(folder / "base.pt2", folder / f"{name}.pt2", **options)
        lines = [line.text for line in difference_lines(found, verbose=verbose, width=10_000)]
        return found, [line for line in lines if str(folder) not in line]

    return compare


@pytest.mark.parametrize("name", ["base", "again", "by-torch"])
def test_equal_programs_are_equal(compared, name):
    found, lines = compared(name)
    assert found.findings == ()
    assert lines[-1].startswith("exportcheck: the programs are equal")


VALUE = "elements differ, by at most"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "weight",
            [
                "weights and constants: 1 changed",
                "  ~ embed.bias: value: 0.300011396 at [1] -> 0.550011396 at [1]",
                f"      1 of 4 {VALUE} 0.25",
            ],
        ),
        (
            "constant",
            [
                "weights and constants: 1 changed",
                "  ~ scale: value: 3 at [2] -> 7 at [2]",
                f"      1 of 4 {VALUE} 4",
            ],
        ),
        (
            "narrow",
            [
                "ranges and guards: 1 removed, 1 changed",
                "  ~ args[0].size(0): range narrowed: 2..9 -> 3..8",
                "  - guard L['x'].size()[0] >= 2",
            ],
        ),
        (
            "static",
            [
                "nodes: 1 changed",
                "  ~ x: shape: [args[0].size(0), 4] -> [3, 4]",
                "  and 4 that follow from other differences (-v lists them)",
                "ranges and guards: 2 removed, 1 changed",
                "  ~ args[0].size(0): made static: dynamic (args[0].size(0)) -> always 3",
                "  - args[0].size(0): range: 2..9",
            ],
        ),
    ],
)
def test_a_difference_is_named(compared, name, expected):
    _, lines = compared(name)
    assert lines[: len(expected)] == expected
    assert lines[-1].startswith("exportcheck: the programs differ: ")


def test_a_split_tied_weight_is_named(compared):
    found, _ = compared("split")
    assert [each.name for each in found.findings if each.check == "state"] == ["state.untied"]


class Longer(Net):
    def __init__(self):
        super().__init__()
        self.more = torch.nn.Linear(4, 4)

    def act(self, x):
        return self.more(torch.relu(x))


def test_a_new_weight_is_named_once(folder):
    path = folder / "longer.pt2"
    reference.save(exported(Longer()), path)
    found = difference_of_files(folder / "base.pt2", path)
    names = [(each.check, each.place) for each in found.findings if each.check != "nodes"]
    assert names == [("state", "more.weight"), ("state", "more.bias")]
    assert sorted((each.check, each.place) for each in found.following) == [
        ("nodes", "p_more_bias"),
        ("nodes", "p_more_weight"),
        ("signature", "inputs: p_more_bias"),
        ("signature", "inputs: p_more_weight"),
        ("state", "more.bias"),
        ("state", "more.weight"),
    ]


def test_lines_of_code_are_shown_from_the_current_folder_or_the_package(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert line_text(f"{tmp_path}/shop.py:8 in forward") == "shop.py:8 in forward"
    assert line_text("/home/me/lib/site-packages/timm/vit.py:8 in forward") == "timm/vit.py:8 in forward"
    assert line_text("/home/me/shop.py:8 in forward") == "/home/me/shop.py:8 in forward"


def test_a_renamed_input_counts_and_renamed_nodes_do_not(compared):
    found, lines = compared("renamed")
    assert [(each.name, each.expected, each.actual) for each in found.findings] == [
        ("constraints.guard_dropped", "L['x'].size()[0] >= 2", "no such guard"),
        ("constraints.guard_added", "no such guard", "L['rows'].size()[0] >= 2"),
        ("call_spec.names", "x", "rows"),
    ]
    assert {each.name for each in found.not_counted} >= {"nodes.name", "signature.name", "metadata.stack_trace"}
    assert "not counted (--metadata counts names and metadata)" in lines


def test_metadata_counts_if_it_is_asked_for(compared):
    found, _ = compared("renamed", metadata=True)
    assert {each.name for each in found.findings} >= {"nodes.name", "metadata.stack_trace"}


def test_inserted_nodes_are_found_with_their_line_and_the_others_stay_paired(compared):
    found, lines = compared("gelu")
    kinds = [(each.change, each.place) for each in found.findings if each.check == "nodes"]
    assert sorted(kinds) == [("added", "add"), ("added", "gelu"), ("dropped", "relu")]
    line = "return self.head(self.act(self.embed(x) * self.scale))"
    assert [each.partition(" in ")[2] for each in lines if each.startswith("  at ")] == [f"forward: {line}"]
    assert lines[2:5] == [
        "    + add: aten.add.Tensor(%mul, 1)",
        "    - relu: aten.relu.default(%mul)",
        "    + gelu: aten.gelu.default(%add)",
    ]
    marks = {each.name: each.mark for each in found.nodes}
    assert (marks["add"], marks["gelu"], marks["relu"], marks["mul"]) == ("added", "added", "removed", "")


def test_a_lowered_program_differs_unless_the_contract_is_that_of_lowering(compared):
    assert compared("lowered")[0].findings
    assert compared("lowered", contract="decompose")[0].findings == ()


def test_verbose_lines_have_every_value(compared):
    _, lines = compared("static", verbose=True)
    assert "  4 that follow from other differences" in lines
    assert sum(": shape: [args[0].size(0), 4] -> [3, 4]" in line for line in lines) == 5


def test_the_lines_fit_into_a_terminal(compared, folder):
    for name in ("weight", "static", "split", "gelu", "lowered"):
        found, _ = compared(name)
        shown = [line for line in difference_lines(found, verbose=True, width=80) if "/" not in line.text]
        assert [line.text for line in shown if len(line.text) > 80] == [], name


# --- files ----------------------------------------------------------------------------------


def archive(records):
    file = io.BytesIO()
    write_archive(file, dict(records))
    return ArchiveReader(io.BytesIO(file.getvalue()))


def test_a_file_of_several_programs_needs_a_name(folder):
    reader = ArchiveReader(folder / "base.pt2")
    text = reader.read("models/model.json")
    two = archive({"models/encoder.json": text, "models/decoder.json": text})
    with pytest.raises(ArchiveError) as caught:
        read_program(two)
    assert str(caught.value) == ("the BytesIO has 2 programs: encoder, decoder. Choose one of them: --program NAME.")
    with pytest.raises(ArchiveError) as caught:
        read_program(two, "model")
    assert str(caught.value) == "the BytesIO has no program 'model'. Its programs: encoder, decoder."


def test_a_file_with_one_program_has_no_choice(folder):
    assert read_program(ArchiveReader(folder / "base.pt2"), "encoder").saved.program == "model"


def test_a_program_with_an_operator_and_a_class_that_do_not_exist_here_is_compared(folder):
    reader = ArchiveReader(folder / "by-torch.pt2")
    records = {name: reader.read(name) for name in reader.names}
    text = records["models/model.json"]
    foreign = text.replace(b"torch.ops.aten.relu.default", b"torch.ops.shop.relu.default")
    foreign = foreign.replace(b"builtins.tuple", b"shop.Order")
    assert foreign != text
    one = read_program(archive(records | {"models/model.json": foreign}))
    found = difference(one, read_program(archive(records)))
    assert [(each.name, each.expected, each.actual) for each in found.findings if each.check == "nodes"] == [
        ("nodes.target", "shop.relu.default(%mul)", "aten.relu.default(%mul)")
    ]
    assert "call_spec.structure" in {each.name for each in found.findings}


def test_a_tensor_that_repeats_its_storage_is_refused(folder):
    reader = ArchiveReader(folder / "by-torch.pt2")
    records = {name: reader.read(name) for name in reader.names}
    config = "data/weights/model_weights_config.json"
    spoiled = records[config].replace(b'"sizes": [{"as_int": 4}]', b'"sizes": [{"as_int": 1099511627776}]')
    spoiled = spoiled.replace(b'"strides": [{"as_int": 1}]', b'"strides": [{"as_int": 0}]')
    assert spoiled != records[config]
    with pytest.raises(ArchiveError, match=r"which is too much to compare\. Save the program again\.$"):
        read_program(archive(records | {config: spoiled}))


def test_pickled_values_are_compared_by_their_bytes_and_not_read(folder):
    reader = ArchiveReader(folder / "by-torch.pt2")
    records = {name: reader.read(name) for name in reader.names}
    config = "data/weights/model_weights_config.json"
    table = json.loads(records[config])
    table["config"]["embed.bias"]["use_pickle"] = True
    record = f"data/weights/{table['config']['embed.bias']['path_name']}"
    one = records | {config: json.dumps(table).encode(), record: b"cos\nsystem\n(S'touch hacked'\ntR."}
    two = one | {record: b"cos\nsystem\n(S'touch cracks'\ntR."}
    assert difference(read_program(archive(one)), read_program(archive(one))).findings == ()
    (found,) = difference(read_program(archive(one)), read_program(archive(two))).findings
    assert (found.name, found.place) == ("constants.value", "embed.bias")


def test_tensors_of_another_device_are_read_to_the_cpu(folder):
    reader = ArchiveReader(folder / "by-torch.pt2")
    records = {name: reader.read(name) for name in reader.names}
    config = "data/weights/model_weights_config.json"
    other = records[config].replace(b'"type": "cpu", "index": null', b'"type": "cuda", "index": 0')
    assert other != records[config]
    found = difference(read_program(archive(records)), read_program(archive(records | {config: other})))
    devices = {(each.name, each.expected, each.actual) for each in found.findings}
    assert devices == {("state.device", "cpu", "cuda:0")}


@pytest.mark.parametrize("way", ["json", "difference", "archive"])
def test_a_spoiled_file_is_compared_or_refused(monkeypatch, way):
    """Only typed errors come of it, nothing is imported, compiled or written."""
    monkeypatch.setattr(ways, "reference", _Reader)
    monkeypatch.setattr(ways, "_read_json", _read_json)
    found = {}
    for sample, seed in itertools.product(("branches-torch", "classes-ours", "kept-ours"), range(4)):
        try:
            read = ways.spoil(sample, way, seed)
        except RecursionError:  # nested too deeply to be written as JSON
            continue
        seen = watched(read)
        misdeeds = [each for each in seen.misdeeds if each != "gives a FileDifference"]
        if misdeeds:
            found[sample, seed] = misdeeds
    assert found == {}


class _Reader:
    @staticmethod
    def load(file, **_):
        spoiled = read_program(ArchiveReader(file))
        return difference(spoiled, spoiled)


def _read_json(sample, data):
    records = dict(samples()["branches-torch"].records) | dict(sample.records) | {"models/model.json": data}
    return _Reader.load(io.BytesIO(_bytes(records)))


def _bytes(records):
    file = io.BytesIO()
    write_archive(file, dict(records))
    return file.getvalue()


def test_a_file_that_cannot_be_read_is_refused(tmp_path, folder):
    with pytest.raises(ArchiveError) as caught:
        difference_of_files(folder / "base.pt2", tmp_path)
    assert str(caught.value) == f"{tmp_path} cannot be read: it is not a file. Name a .pt2 file."
    missing = Path("no.pt2")
    with pytest.raises(ArchiveError) as caught:
        difference_of_files(missing, folder / "base.pt2")
    assert str(caught.value) == ("no.pt2 cannot be read: No such file or directory. Name a .pt2 file that can be read.")
