"""Check what a built wheel and sdist hold: `python scripts/check_dist.py dist`. Exits with 1 and one line per fault."""

from __future__ import annotations

import re
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = "pytest_exportcheck"
#: Its pages are in the wheel too: exportcheck explain prints them.
DEFECTS = ROOT / "docs/known-defects"
ENTRY_POINTS = ("exportcheck = pytest_exportcheck.cli:main", "exportcheck = pytest_exportcheck.plugin")
#: Files and folders at the root that a packager needs to build the docs and to run the tests.
SDIST = ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "Makefile", "mkdocs.yml", "conftest.py")
SDIST_FOLDERS = (PACKAGE, "tests", "cases", "docs", "examples", "benchmarks", "scripts")


def main(folder: Path) -> int:
    """Print the names that the wheel holds and every fault. Returns the exit status."""
    wheels, sdists = sorted(folder.glob("*.whl")), sorted(folder.glob("*.tar.gz"))
    if len(wheels) != 1 or len(sdists) != 1:
        print(
            f"{folder}: expected one wheel and one sdist, got {len(wheels)} and {len(sdists)}. Empty the folder, build again."
        )
        return 1
    faults = [*wheel_faults(wheels[0]), *sdist_faults(sdists[0])]
    print("\n".join(faults) or f"{wheels[0].name} and {sdists[0].name}: complete")
    return 1 if faults else 0


def wheel_faults(wheel: Path) -> Iterator[str]:
    """Yield a line for each thing that the wheel lacks or that does not belong into it."""
    info = f"{PACKAGE}-{version()}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        found = archive.read(f"{info}/entry_points.txt").decode() if f"{info}/entry_points.txt" in names else ""
    print("\n".join(sorted(names)))
    for name in sorted(expected() - names):
        yield f"{wheel.name}: {name} is missing"
    for name in sorted(names - expected()):
        if not name.startswith(f"{info}/"):
            yield f"{wheel.name}: {name} does not belong into the wheel"
    for line in ENTRY_POINTS:
        if line not in found.splitlines():
            yield f"{wheel.name}: the entry point {line!r} is missing"
    if f"{info}/licenses/LICENSE" not in names:
        yield f"{wheel.name}: {info}/licenses/LICENSE is missing (the version of the wheel must be {version()})"


def sdist_faults(sdist: Path) -> Iterator[str]:
    """Yield a line for each file or folder that the sdist lacks."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for name in SDIST:
        if name not in names:
            yield f"{sdist.name}: {name} is missing"
    for folder in SDIST_FOLDERS:
        if not any(name.startswith(f"{folder}/") for name in names):
            yield f"{sdist.name}: {folder}/ is missing"


def expected() -> set[str]:
    """The files of the package in the checkout, and the pages of the docs that the wheel has too."""
    files = (path for path in (ROOT / PACKAGE).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    pages = (path.relative_to(DEFECTS) for path in DEFECTS.rglob("*") if path.is_file())
    return {
        *(path.relative_to(ROOT).as_posix() for path in files),
        *(f"{PACKAGE}/known_defect_reports/{path.as_posix()}" for path in pages),
    }


def version() -> str:
    """The version in ``pytest_exportcheck/__init__.py``."""
    found = re.search(
        r'^__version__ = "(.+)"$', (ROOT / PACKAGE / "__init__.py").read_text(encoding="utf-8"), re.MULTILINE
    )
    if found is None:
        raise SystemExit(f'{PACKAGE}/__init__.py: expected a line __version__ = "...", got none. Write one.')
    return found[1]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "dist")))
