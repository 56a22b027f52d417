"""The console command."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile

import pytest
import torch

from pytest_exportcheck.cli import main


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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory."),
        (b"not a zip", "is no PT2 archive (File is not a zip file); torch.export.save writes one."),
        ({}, "is a zip file but no PT2 archive: it holds no models/NAME.json."),
        ({"m/models/m.json": "{"}, ": m/models/m.json is no JSON (Expecting property name*); the file is damaged."),
        ({"m/models/m.json": "[]"}, ": m/models/m.json describes no program: it has no graph_module."),
    ],
    ids=["missing", "no zip", "no program", "no JSON", "no graph"],
)
def test_what_is_no_archive_is_refused_in_one_line(tmp_path, capsys, content, message):
    path = tmp_path / "file.pt2"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in content.items():
                archive.writestr(name, text)
    assert main(["inspect", str(path)]) == 2
    error = capsys.readouterr().err
    head, _, tail = message.partition("*")
    assert error.startswith(f"exportcheck: {path}")
    assert head in error
    assert tail in error
    assert error.count("\n") == 1


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
