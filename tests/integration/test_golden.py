"""``--exportcheck-golden``: one item for each stored version of torch, an update that writes them, and stale ones."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.golden_of import VERSION, files_in

CASES = """
import torch
from pytest_exportcheck import export_case

@export_case(args=lambda: (torch.randn(2, 3),), engines=["torch"])
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 3)

    def forward(self, x):
        return self.layer(x)
"""

GOLDEN = ("--exportcheck", "--exportcheck-golden=golden", "-q", "-p", "no:cacheprovider")


def _repo(pytester: pytest.Pytester) -> Path:
    (pytester.path / "case_net.py").write_text(CASES, encoding="utf-8")
    return pytester.path / "golden"


def test_a_golden_program_is_missing_then_new_then_judged_then_stale(pytester: pytest.Pytester) -> None:
    golden = _repo(pytester)
    missing = pytester.runpytest_inprocess(*GOLDEN, "-k", "golden")
    missing.stdout.fnmatch_lines(
        [
            f"*Net[[]golden-{VERSION}[]]*",
            f"  golden: {VERSION}: missing",
            "    got:      the case 'Net' has no golden program. Write it: pytest --exportcheck --exportcheck-golden=golden "
            "--exportcheck-update-golden",
            f'Reproduce with: pytest --exportcheck --exportcheck-golden=golden "case_net.py::Net[[]golden-{VERSION}[]]"',
        ]
    )
    missing.assert_outcomes(failed=1, deselected=12)
    new = pytester.runpytest_inprocess(*GOLDEN, "--exportcheck-update-golden")
    new.stdout.fnmatch_lines([f"exportcheck: golden programs new: Net/{VERSION}"])
    new.assert_outcomes(passed=1)
    again = pytester.runpytest_inprocess(*GOLDEN, "--exportcheck-update-golden")
    again.stdout.fnmatch_lines(["exportcheck: golden programs unchanged: 1"])
    (pytester.path / "case_net.py").write_text(CASES.replace("Net", "Other"), encoding="utf-8")
    stale = pytester.runpytest_inprocess(*GOLDEN, "-k", "golden-Net")
    stale.stdout.fnmatch_lines(
        [
            "golden/Net is stale: no case has this name. Delete the folder, or run --exportcheck-update-golden, which deletes it. "
            "If the case is of a source, name the source in exportcheck_sources."
        ]
    )
    stale.assert_outcomes(failed=1, deselected=13)
    removed = pytester.runpytest_inprocess(*GOLDEN, "--exportcheck-update-golden")
    removed.stdout.fnmatch_lines(
        [f"exportcheck: golden programs new: Other/{VERSION}", "exportcheck: golden programs removed: Net"]
    )
    assert [path.name for path in golden.iterdir()] == ["Other"]


def test_an_update_removes_what_is_of_another_model(pytester: pytest.Pytester) -> None:
    golden = _repo(pytester)
    pytester.runpytest_inprocess(*GOLDEN, "--exportcheck-update-golden")
    older = golden / "Net" / "2.0.0"
    shutil.copytree(golden / "Net" / VERSION, older)
    facts = (older / "facts.json").read_text(encoding="utf-8")
    (older / "facts.json").write_text(facts.replace(f'"torch": "{VERSION}', '"torch": "2.0.0'), encoding="utf-8")
    (pytester.path / "case_net.py").write_text(CASES.replace("self.layer(x)", "self.layer(x), x"), encoding="utf-8")
    judged = pytester.runpytest_inprocess(*GOLDEN, "-k", "golden")
    judged.stdout.fnmatch_lines(
        ["FAILED case_net.py::Net[[]golden-2.0.0[]] - *", f"FAILED *[[]golden-{VERSION}[]] - *"]
    )
    update = pytester.runpytest_inprocess(*GOLDEN, "--exportcheck-update-golden")
    update.stdout.fnmatch_lines(
        [
            f"exportcheck: golden programs changed: Net/{VERSION}",
            "exportcheck: golden programs removed: Net/2.0.0",
        ]
    )


def test_two_cases_of_one_name_are_refused(pytester: pytest.Pytester) -> None:
    _repo(pytester)
    (pytester.path / "more").mkdir()
    (pytester.path / "more" / "case_other.py").write_text(CASES, encoding="utf-8")
    result = pytester.runpytest_inprocess(*GOLDEN, "-k", "golden-Net")
    result.stdout.fnmatch_lines(
        [
            "two cases are called 'Net': the one at *case_net.py:5 has the golden program, the one at *case_other.py:5 has none. "
            "Give one of them another name with export_case(name=...)."
        ]
    )


def test_an_update_needs_a_folder(pytester: pytest.Pytester) -> None:
    _repo(pytester)
    result = pytester.runpytest_inprocess("--exportcheck", "--exportcheck-update-golden")
    result.stderr.fnmatch_lines(
        [
            "ERROR: exportcheck: --exportcheck-update-golden needs the folder to write to: --exportcheck-golden=DIR, or "
            "exportcheck_golden in the ini file."
        ]
    )


@pytest.mark.slow
def test_the_bytes_do_not_depend_on_the_folder_the_process_or_the_worker(tmp_path: Path) -> None:
    found = []
    for name, seed, more in (
        ("one", "0", ()),
        ("another", "1", ("-n", "2")),
        ("third", "2", ("--exportcheck-threads=2",)),
    ):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "case_net.py").write_text("\n" * len(name) + CASES, encoding="utf-8")
        command = [sys.executable, "-m", "pytest", *GOLDEN, "--exportcheck-update-golden", *more]
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
        found.append(files_in(folder / "golden"))
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 3


@pytest.mark.parametrize("left_out", ["a subfolder", "a skipped file"])
def test_an_update_deletes_nothing_of_cases_that_were_not_collected(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, left_out: str
) -> None:
    golden = _repo(pytester)
    pytester.makeini("[pytest]\nexportcheck_golden = golden\n")
    (golden / "Kept" / VERSION).mkdir(parents=True)
    if left_out == "a subfolder":
        below = pytester.mkdir("below")
        (pytester.path / "case_net.py").rename(below / "case_net.py")
        monkeypatch.chdir(below)
    else:
        (pytester.path / "case_kept.py").write_text("import pytest\npytest.importorskip('no_such_module')\n")
    result = pytester.runpytest_inprocess(
        "--exportcheck", "-q", "-p", "no:cacheprovider", "--exportcheck-update-golden"
    )
    result.stdout.fnmatch_lines([f"exportcheck: golden programs new: Net/{VERSION}"])
    result.stdout.no_fnmatch_line("*removed*")
    assert sorted(path.name for path in golden.iterdir()) == ["Kept", "Net"]
