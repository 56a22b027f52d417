"""``--exportcheck-repro-dir`` writes a folder for every failing item, and none where nothing fails."""

from __future__ import annotations

import gc
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_exportcheck.bundles.failure import Failure
from pytest_exportcheck.bundles.read import read_bundle

CASES = """
import torch
from pytest_exportcheck import export_case

@export_case(args=lambda: (torch.arange(6.0).reshape(2, 3),))
class Wrong(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 3)

    def forward(self, x):
        return self.layer(x) * (2 if torch.compiler.is_exporting() else 1)

@export_case(args=lambda: (torch.ones(2),))
class Branches(torch.nn.Module):
    def forward(self, x):
        return x + 1 if x.sum() > 0 else x

@export_case(args=lambda: (torch.ones(1, requires_grad=True),), modes=["nonstrict-decompose"])
class WithoutGrad(torch.nn.Module):
    def forward(self, x):
        with torch.no_grad():
            y = x * 2
        return x * y

@export_case(args=lambda: (torch.ones(2),))
class Right(torch.nn.Module):
    def forward(self, x):
        return x + 1
"""

FIXTURE = """
import torch

class Wrong(torch.nn.Module):
    def forward(self, x):
        return x * (2 if torch.compiler.is_exporting() else 1)

def test_net(exportcheck):
    exportcheck(Wrong(), (torch.ones(2),), modes=["nonstrict"], engines=["torch"])
"""

TORCH = (
    "--exportcheck",
    "--exportcheck-engines=torch",
    "--exportcheck-modes=nonstrict,nonstrict-decompose",
    "-p",
    "no:cacheprovider",
)

#: Runs scripts in one process in which the plugin cannot be imported, and prints their exit statuses.
WITHOUT_PLUGIN = """
import runpy, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "pytest_exportcheck":
            raise ImportError("refused")

for script in sys.argv[1:]:
    finders, path, modules = list(sys.meta_path), list(sys.path), set(sys.modules)
    sys.meta_path.insert(0, Refuse())
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as status:
        print("status", status.code)
    sys.meta_path[:], sys.path[:] = finders, path
    for name in set(sys.modules) - modules:
        if name.startswith(("case_", "pytest_exportcheck")):
            del sys.modules[name]
"""


@pytest.fixture(autouse=True)
def _whole(whole_torch: None, wide: None) -> None:
    """Have all of torch loaded, and a wide terminal."""


def _bundle_lines(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if line.startswith("exportcheck: bundle")]


def test_every_failing_item_has_a_folder(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(case_nets=CASES)
    result = pytester.runpytest(
        *TORCH, "--exportcheck-profile=conformance", "--exportcheck-repro-dir=repro", "-k", "not Branches"
    )
    wrong, without_grad = "repro/Wrong-torch-nonstrict", "repro/WithoutGrad-torch-nonstrict-decompose"
    assert _bundle_lines(result) == [
        f"exportcheck: bundle {wrong}: the module, weights: 48 bytes, inputs: yes, source files: 1. To run it again: "
        f"exportcheck replay {wrong}",
        f"exportcheck: bundle {without_grad}: the program before decompose, weights: 0 bytes, inputs: yes. To run it again: "
        f"exportcheck replay {without_grad}",
    ]
    assert sorted(each.name for each in (pytester.path / "repro").iterdir()) == sorted(
        Path(each).name for each in (wrong, without_grad)
    )
    assert read_bundle(pytester.path / wrong).record.outcome.nodeid == "case_nets.py::Wrong[torch-nonstrict]"


def test_no_live_object_is_kept(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(case_nets=CASES, test_nets=FIXTURE)
    result = pytester.runpytest(*TORCH, "--exportcheck-repro-dir=repro", "-k", "Wrong or test_net")
    result.assert_outcomes(failed=2, skipped=1)
    gc.collect()
    assert [each for each in gc.get_objects() if type(each) is Failure] == []


def test_nothing_is_written_where_nothing_fails(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(case_nets=CASES)
    pytester.makeini("[pytest]\nexportcheck_repro_dir = repro")
    result = pytester.runpytest(*TORCH, "-k", "Right")
    assert (result.ret, _bundle_lines(result), (pytester.path / "repro").exists()) == (0, [], False)


@pytest.mark.parametrize("case", ["Wrong", pytest.param("Branches", marks=pytest.mark.slow)])
def test_no_path_of_this_machine_is_written(pytester: pytest.Pytester, case: str) -> None:
    pytester.makepyfile(case_nets=CASES)
    pytester.makeini("[pytest]\nexportcheck_repro_dir = repro")
    pytester.runpytest(*TORCH, "-k", case)
    folder = pytester.path / f"repro/{case}-torch-nonstrict"
    texts = {each.name: each.read_text() for each in folder.iterdir() if each.suffix in (".json", ".md", ".py", ".txt")}
    assert ("draft-export.txt" in texts) == (case == "Branches")
    assert [name for name, text in texts.items() if str(pytester.path) in text or sys.prefix in text] == []


def test_a_place_that_cannot_be_written_is_named_and_the_item_fails_as_ever(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(case_nets=CASES)
    (pytester.path / "repro").write_text("a file")
    result = pytester.runpytest(*TORCH, "--exportcheck-repro-dir=repro", "-k", "Wrong")
    result.stdout.fnmatch_lines(
        [
            "  outputs: output: value  (on the example inputs and fresh inputs)",
            "exportcheck: no bundle is written for case_nets.py::Wrong[[]torch-nonstrict[]]: Not a directory (repro). Name another "
            "folder with --exportcheck-repro-dir, or free space there.",
        ]
    )
    result.assert_outcomes(failed=1, skipped=1)


def test_an_empty_path_is_refused(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest(*TORCH, "--exportcheck-repro-dir=")
    assert (
        "ERROR: exportcheck: --exportcheck-repro-dir takes the path of a folder, got an empty one." in result.errlines
    )


def test_the_fixture_writes_too(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_nets=FIXTURE)
    result = pytester.runpytest("--exportcheck-repro-dir=repro")
    folder = "repro/test_net-Wrong-torch-nonstrict"
    result.stdout.fnmatch_lines([f"E*bundle {folder}: the module, weights: 0 bytes*exportcheck replay {folder}"])
    assert read_bundle(pytester.path / folder).record.outcome.nodeid == "test_nets.py::test_net"


@pytest.mark.slow
def test_workers_write_and_the_controller_says_so(pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist", reason="pytest-xdist is a development dependency")
    pytester.makepyfile(case_nets=CASES)
    result = pytester.runpytest_subprocess(*TORCH, "-n", "1", "--exportcheck-repro-dir=repro", "-k", "Wrong")
    (line,) = _bundle_lines(result)
    assert line.startswith("exportcheck: bundle repro/Wrong-torch-nonstrict: the module")


def test_scripts_run_by_torch_only(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(case_nets=CASES)
    pytester.runpytest(*TORCH, "--exportcheck-profile=conformance", "--exportcheck-repro-dir=repro")
    scripts = [str(each / "repro.py") for each in sorted((pytester.path / "repro").iterdir())]
    run = [sys.executable, "-I", "-c", WITHOUT_PLUGIN]
    fixed = shutil.copytree(Path(scripts[-1]).parent, pytester.path / "fixed")
    source = fixed / "source/case_nets.py"
    source.write_text(source.read_text().replace("(2 if torch.compiler.is_exporting() else 1)", "1"))
    result = subprocess.run([*run, *scripts, str(fixed / "repro.py")], capture_output=True, text=True)
    assert re.findall("status (.*)", result.stdout) == ["1", "1", "1", "0"], result.stdout + result.stderr
    assert re.findall("expected: (.*)", result.stdout)[0] == "a program"
    assert result.stdout.splitlines()[-2] == "no place differs: it does not fail any more"


#: A debugger that prints what the prompt would show, and goes on.
DEBUGGER = """
import pdb

class Printing(pdb.Pdb):
    def cmdloop(self, intro=None):
        here = self.curframe.f_locals
        print(type(here["module"]).__name__, here["program_before"], type(here["program_after"]).__name__)
        print(here["inputs"].label, here["finding"].check)
        raise SystemExit
"""


@pytest.mark.parametrize("options", [TORCH, ()], ids=["item", "fixture"])
def test_the_prompt_of_pdb_has_the_objects(pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    pytester.makepyfile(printing=DEBUGGER, **({"case_nets": CASES} if options else {"test_nets": FIXTURE}))
    pytester.syspathinsert()
    result = pytester.runpytest(*options, "--pdb", "--pdbcls=printing:Printing", "-k", "Wrong or test_net")
    result.stdout.fnmatch_lines(
        [
            "exportcheck: local variables here: module, program_before (None for a capture), program_after, inputs, finding",
            "Wrong None ExportedProgram",
            "the example inputs outputs",
        ]
    )


@pytest.mark.slow
def test_the_prompt_takes_commands(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(case_nets=CASES)
    command = [
        sys.executable,
        "-m",
        "pytest",
        *TORCH,
        "--pdb",
        "-k",
        "WithoutGrad",
        "--exportcheck-profile=conformance",
    ]
    result = pytester.run(*command, stdin=b"p type(program_before).__name__, finding.check\nq\n")
    result.stdout.fnmatch_lines(["(Pdb) ('ExportedProgram', 'gradients')"])
