"""The check of a release names each thing that a wheel or an sdist lacks, or that does not belong into the wheel."""

from __future__ import annotations

import io
import runpy
import tarfile
import zipfile
from pathlib import Path

import pytest

from pytest_exportcheck import __version__

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "scripts/check_dist.py"))
INFO = f"pytest_exportcheck-{__version__}.dist-info"
ENTRY_POINTS = (
    "[console_scripts]\nexportcheck = pytest_exportcheck.cli:main\n\n"
    "[pytest11]\nexportcheck = pytest_exportcheck.plugin\n"
)
SDIST = [
    *SCRIPT["SDIST"],
    *(f"{folder}/file.py" for folder in SCRIPT["SDIST_FOLDERS"]),
]


@pytest.fixture
def write(tmp_path):
    """Write a wheel and an sdist that hold these names."""

    def write(wheel: set[str], sdist: list[str], entry_points: str = ENTRY_POINTS) -> Path:
        with zipfile.ZipFile(tmp_path / "it.whl", "w") as archive:
            for name in sorted(wheel):
                archive.writestr(name, "")
            archive.writestr(f"{INFO}/entry_points.txt", entry_points)
        with tarfile.open(tmp_path / "it.tar.gz", "w:gz") as archive:
            for name in sdist:
                archive.addfile(tarfile.TarInfo(f"it/{name}"), io.BytesIO())
        return tmp_path

    return write


def complete() -> set[str]:
    return {*SCRIPT["expected"](), f"{INFO}/licenses/LICENSE"}


def test_a_wheel_has_the_templates_of_pages_and_the_reports_of_known_defects():
    pages = ("report.html.j2", "base.html.j2", "block.html.j2", "style.css", "script.js")
    names = [*(f"reports/html/{name}" for name in pages), "known_defect_reports/README.md"]
    assert [name for name in names if f"pytest_exportcheck/{name}" not in SCRIPT["expected"]()] == []


def test_a_complete_release_passes(write, capsys):
    assert SCRIPT["main"](write(complete(), SDIST)) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "it.whl and it.tar.gz: complete"


def test_each_fault_of_a_release_is_a_line(write, capsys):
    wheel = complete() - {"pytest_exportcheck/py.typed", f"{INFO}/licenses/LICENSE"} | {"tests/test_it.py"}
    sdist = [name for name in SDIST if name not in ("LICENSE", "docs/file.py")]
    assert SCRIPT["main"](write(wheel, sdist, ENTRY_POINTS.split("[pytest11]")[0])) == 1
    assert capsys.readouterr().out.splitlines()[-6:] == [
        "it.whl: pytest_exportcheck/py.typed is missing",
        "it.whl: tests/test_it.py does not belong into the wheel",
        "it.whl: the entry point 'exportcheck = pytest_exportcheck.plugin' is missing",
        f"it.whl: {INFO}/licenses/LICENSE is missing (the version of the wheel must be {__version__})",
        "it.tar.gz: LICENSE is missing",
        "it.tar.gz: docs/ is missing",
    ]


def test_a_folder_with_old_builds_is_refused(tmp_path, capsys):
    assert SCRIPT["main"](tmp_path) == 1
    assert capsys.readouterr().out == (
        f"{tmp_path}: expected one wheel and one sdist, got 0 and 0. Empty the folder, build again.\n"
    )
