"""The console command."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch

from pytest_exportcheck.cli import main
from pytest_exportcheck.reference.pt2.archive import ArchiveReader, write_archive
from pytest_exportcheck.reference.pt2.json.codec import MINOR
from pytest_exportcheck.reports.json_report import encoded
from tests.unit.reports_of import VALUE, item, report, run


@pytest.fixture
def saved(tmp_path):
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(4, 4)

        def forward(self, x, *, power=2):
            return self.layer(x) ** power, x.shape[0]

    shapes = {"x": {0: torch.export.Dim("b", min=2, max=9)}, "power": None}
    program = torch.export.export(Net(), (torch.ones(3, 4),), {"power": 3}, dynamic_shapes=shapes)
    path = tmp_path / "net.pt2"
    torch.export.save(program, path)
    return path


def test_inspect_shows_versions_signature_symbols_and_nodes(saved, capsys):
    assert main(["inspect", str(saved)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{saved}: net/models/model.json"
    assert lines[1].endswith(f"written by torch {torch.__version__}")
    assert lines[2] == "  verifiers: TRAINING"
    assert lines[3] == "  inputs: 2 parameter, 1 user_input, 1 constant_input"
    assert lines[4:6] == ["    user_input x", "    constant_input power = 3"]
    assert "    user_output pow_1" in lines
    assert any(line.endswith(" in [2, 9]") for line in lines)
    assert "       1 aten.linear.default" in lines
    assert lines[-1] == "  payloads: 2, 80 bytes"


NESTED = "[" * 100_000 + "]" * 100_000


def edited(saved, change):
    """Write the saved program again, with its JSON as ``change`` leaves or returns it."""
    reader = ArchiveReader(saved)
    content = json.loads(reader.read("models/model.json"))
    text = change(content) or json.dumps(content)
    path = saved.with_name("edited.pt2")
    write_archive(path, {"models/model.json": text.encode()})
    return path


def refusal(path, capsys):
    """Inspect a file that is refused; the line without the path of the file."""
    assert main(["inspect", str(path)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    head, _, message = shown.err.partition(str(path))
    assert head == "exportcheck: "
    assert message.endswith("\n")
    assert message.count("\n") == 1
    return message.removesuffix("\n")


DAMAGED = "The file is damaged or its writer is at fault: save the program again."


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: NESTED, "$: expected JSON nested as a program is, got JSON nested too deeply to read"),
        (
            lambda content: "{",
            "$: expected JSON, got Expecting property name enclosed in double quotes at line 1, column 2",
        ),
        (lambda content: "[]", "$: expected an object (ExportedProgram), got a list of 0"),
        (
            lambda content: "{}",
            "$: expected an object (ExportedProgram) with the key 'graph_module', got an object with no key",
        ),
        (
            lambda content: content.update(schema_version=3),
            "$.schema_version: expected an object (SchemaVersion), got 3",
        ),
        (
            lambda content: content["graph_module"]["signature"].update(input_specs=[1]),
            "$.graph_module.signature.input_specs[0]: expected an object (InputSpec) with one key, got 1",
        ),
        (
            lambda content: content.update(range_constraints={"s0": None}),
            "$.range_constraints.s0: expected an object (RangeConstraint), got null",
        ),
        (
            lambda content: content["graph_module"]["graph"]["nodes"][0].update(target=5),
            "$.graph_module.graph.nodes[0].target: expected a string, got 5",
        ),
    ],
    ids=["nested", "no JSON", "list", "empty", "schema_version", "input_specs", "range_constraints", "target"],
)
def test_a_malformed_program_is_refused_with_its_place(saved, capsys, change, message):
    path = edited(saved, change)
    assert refusal(path, capsys) == f": archive/models/model.json: {message}. {DAMAGED}"


def test_a_program_of_another_major_schema_is_refused(saved, capsys):
    path = edited(saved, lambda content: content["schema_version"].update(major=99, minor=0))
    assert refusal(path, capsys) == (
        ": archive/models/model.json: $.schema_version.major: expected schema 8.x, got schema 99.0. "
        f"Serialized schema version 99.0 does not match our current schema version 8.{MINOR}. "
        "To read it, update pytest-exportcheck."
    )


def test_a_zip_without_a_program_is_refused(tmp_path, capsys):
    write_archive(tmp_path / "file.pt2", {"data/weights/weight_0": b""})
    assert refusal(tmp_path / "file.pt2", capsys) == (
        " is not an archive of a program: it has no record models/NAME.json. Save the program with torch.export.save."
    )


def test_a_truncated_archive_is_refused(saved, capsys):
    saved.write_bytes(saved.read_bytes()[:-100])
    assert refusal(saved, capsys) == (
        " is not a PT2 archive: it does not end like a zip file without a comment. It is another kind of file, "
        "was cut short, or has bytes after its end. Download or save it again."
    )


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "No such file or directory"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
    ],
    ids=["missing", "directory", "unreadable"],
)
def test_what_cannot_be_read_is_refused(tmp_path, capsys, make, reason):
    make(tmp_path / "file.pt2")
    assert refusal(tmp_path / "file.pt2", capsys) == f" cannot be read: {reason}. Name a .pt2 file that can be read."


def test_a_newer_minor_schema_is_shown_with_a_warning(saved, capsys):
    def newer(content):
        content["schema_version"]["minor"] += 100
        content["graph_module"]["colour"] = "red"

    path = edited(saved, newer)
    assert main(["inspect", str(path)]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[1] == (
        f"  warning: {path}: archive/models/model.json: the file has schema 8.{MINOR + 100}, this reader knows 8.{MINOR}; "
        "not understood, and kept as they are: $.graph_module.colour. Update pytest-exportcheck."
    )
    assert shown.err == ""


def test_what_a_terminal_would_obey_is_shown_escaped(saved, capsys):
    path = edited(saved, lambda content: content.update(guards_code=["\x1b[2J", "\ud800", "größer"]))
    assert main(["inspect", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[lines.index("  guards: 3") + 1 :][:3] == ["    \\x1b[2J", "    \\ud800", "    größer"]


def test_every_program_of_an_archive_is_shown(saved, capsys):
    program = ArchiveReader(saved).read("models/model.json")
    write_archive(saved, {"models/one.json": program, "models/two.json": program})
    assert main(["inspect", str(saved)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith(str(saved))] == [
        f"{saved}: archive/models/one.json",
        f"{saved}: archive/models/two.json",
    ]


@pytest.mark.parametrize(
    "arguments",
    [["schema"], ["inspect", "net.pt2"], ["merge", "all.json", "one.json"], ["diff", "net.pt2", "net.pt2"], ["--help"]],
    ids=lambda it: it[0],
)
def test_a_reader_that_stops_reading_ends_the_command_quietly(saved, arguments):
    """As ``exportcheck inspect FILE | head -1`` does."""
    (saved.parent / "one.json").write_bytes(encoded(report(item())))
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    read, write = os.pipe()
    os.close(read)
    try:
        command = [sys.executable, "-m", "pytest_exportcheck.cli", *arguments]
        done = subprocess.run(
            command, stdout=write, stderr=subprocess.PIPE, text=True, cwd=saved.parent, env=buffered, check=False
        )
    finally:
        os.close(write)
    assert done.stderr == ""
    assert done.returncode == 141


def test_merging_what_is_no_report_is_refused_in_one_line(tmp_path, capsys):
    assert main(["merge", str(tmp_path / "all.json"), str(tmp_path / "gone.json")]) == 2
    assert (
        capsys.readouterr().err == f"exportcheck: {tmp_path / 'gone.json'} cannot be read: No such file or directory.\n"
    )
    assert not (tmp_path / "all.json").exists()


def test_schema_is_a_json_schema(capsys):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["$ref"] == "#/$defs/Report"


@pytest.mark.parametrize("arguments", [["schema"], ["merge", "OUT", "gone.json"], ["inspect", "gone.pt2"]])
def test_no_command_imports_torch_or_pytest(arguments):
    program = (
        "import sys\n"
        "from pytest_exportcheck.cli import main\n"
        f"main({arguments!r})\n"
        "print([name for name in ('torch', 'pytest', '_pytest') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.fixture
def reports(tmp_path):
    """The reports of two versions of torch, of which the newer one breaks an item."""
    for name, status, findings in (("old", "passed", ()), ("new", "failed", (VALUE,))):
        runs = [run(len(findings), torch=name)]
        content = encoded(report(item(status=status, findings=findings), runs=runs))
        (tmp_path / f"{name}.json").write_bytes(content)
    return str(tmp_path / "old.json"), str(tmp_path / "new.json")


def test_compare_fails_where_something_is_newly_broken(reports, capsys):
    old, new = reports
    assert main(["compare", old, new]) == 1
    assert "newly broken: 1 item" in capsys.readouterr().out.splitlines()
    assert main(["compare", new, old]) == 0
    assert "fixed: 1 item" in capsys.readouterr().out.splitlines()


def test_compare_refuses_one_report_twice(reports, capsys):
    old, _ = reports
    assert main(["compare", old, old]) == 2
    assert capsys.readouterr().err == (
        f"exportcheck: {old} and {old} are reports of the same run. Name the report of before, then the report of after.\n"
    )


def test_compare_of_a_run_that_was_stopped_ends_in_2(tmp_path, reports, capsys):
    stopped = tmp_path / "stopped.json"
    runs = [run(5, torch="new", selected=2, not_run=["case_a.py::b[torch-nonstrict]"])]
    stopped.write_bytes(encoded(report(item(), runs=runs)))
    assert main(["compare", reports[0], str(stopped)]) == 2
    assert capsys.readouterr().err.startswith(f"exportcheck: {stopped} is not complete: ")


def test_compare_writes_a_page_and_data(tmp_path, reports, capsys):
    page, data = tmp_path / "new" / "page.html", tmp_path / "new" / "data.json"
    assert main(["compare", *reports, "--html", str(page), "--json", str(data)]) == 1
    assert page.read_text().startswith("<!doctype html>")
    written = json.loads(data.read_text())
    assert (written["schema"], written["version"]) == ("exportcheck-comparison", "1.0")
    assert [each["kind"] for each in written["changes"]] == ["newly_broken"]
    capsys.readouterr()
    assert main(["compare", *reports, "--json", "-"]) == 1
    assert json.loads(capsys.readouterr().out) == written


def test_compare_does_not_import_torch(reports):
    code = "import sys; from pytest_exportcheck.cli import main; main(sys.argv[1:]); sys.exit('torch' in sys.modules)"
    page = reports[0].replace("old.json", "page.html")
    done = subprocess.run([sys.executable, "-c", code, "compare", *reports, "--html", page], check=False)
    assert done.returncode == 0


def test_diff_says_whether_two_programs_are_equal(saved, capsys):
    other = saved.with_name("other.pt2")
    content = saved.read_bytes()
    other.write_bytes(content)
    assert main(["diff", str(saved), str(other)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "exportcheck: the programs are equal"
    static = edited(saved, lambda tree: tree["range_constraints"].clear())
    assert main(["diff", str(static), str(static)]) == 0


def test_diff_names_what_differs_and_writes_a_page_and_data(saved, tmp_path, capsys):
    program = torch.export.load(saved)
    program.state_dict["layer.bias"].data[1] += 1
    other, page, data = tmp_path / "other.pt2", tmp_path / "page.html", tmp_path / "data.json"
    torch.export.save(program, other)
    assert main(["diff", str(saved), str(other), "--html", str(page), "--json", str(data)]) == 1
    shown = capsys.readouterr().out.splitlines()
    assert "weights and constants: 1 changed" in shown
    assert shown[-1] == "exportcheck: the programs differ: 1 difference"
    assert "layer.bias" in page.read_text()
    written = json.loads(data.read_text())
    assert (written["schema"], [each["place"] for each in written["findings"]]) == (
        "exportcheck-difference",
        ["layer.bias"],
    )


def test_diff_shows_escaped_what_a_terminal_would_obey(saved, capsys):
    path = edited(saved, lambda content: content.update(guards_code=["\x1b[2J"]))
    assert main(["diff", str(path), str(edited(saved, lambda content: None))]) in (0, 1)
    assert "\x1b" not in capsys.readouterr().out


def test_diff_refuses_what_is_not_a_program(saved, tmp_path, capsys):
    report_file = tmp_path / "report.json"
    report_file.write_bytes(encoded(report(item())))
    assert main(["diff", str(saved), str(report_file)]) == 2
    assert capsys.readouterr().err == (
        f"exportcheck: {report_file} is not a PT2 archive: it does not end like a zip file without a comment. "
        "It is another kind of file, was cut short, or has bytes after its end. Download or save it again.\n"
    )
