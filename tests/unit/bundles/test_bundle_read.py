"""What is not a whole bundle of a known version is refused in a line that says what to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_exportcheck.bundles.read import read_bundle
from pytest_exportcheck.errors import BundleError
from tests.unit.bundles_of import bundle_of, doubled


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle_of(tmp_path_factory.mktemp("bundles"), doubled()).folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "doubled"))


def _edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def _message(folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        read_bundle(folder)
    return str(caught.value)


def test_a_bundle_has_what_was_found(folder: Path) -> None:
    bundle = read_bundle(folder)
    record, example = bundle.record, bundle.calls().example
    assert (record.finding.identity, record.engine, record.mode) == (
        ("outputs", "output", "changed", "value"),
        "torch",
        "nonstrict",
    )
    assert (record.start, record.level, record.stage, record.weight_bytes) == ("module", "bits", "nonstrict", 12)
    assert example.args[0].tolist() == [1.0, 2.0, 3.0]
    assert sorted(each.name for each in folder.iterdir()) == [
        *("README.md", "environment.json", "finding.json", "inputs.pt", "repro.py", "source", "state.pt"),
    ]


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none"
    assert _message(path) == f"{path} is not a folder. Name one that pytest --exportcheck-repro-dir wrote."


@pytest.mark.parametrize("name", ["finding.json", "environment.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert _message(folder) == (
        f"{folder} is not a whole bundle: it has no {name}. Write it again with pytest --exportcheck-repro-dir."
    )


def test_a_bundle_of_a_newer_plugin_is_refused(folder: Path) -> None:
    _edit(folder / "finding.json", lambda content: content.update(version="1.2"))
    assert _message(folder) == (
        f"{folder} has version 1.2 of the bundle, and this pytest-exportcheck reads up to 1.1: replay it with the version of "
        "pytest-exportcheck in its environment.json, or a newer one."
    )


def test_a_file_of_another_kind_is_refused(folder: Path) -> None:
    _edit(folder / "finding.json", lambda content: content.update(schema="exportcheck-report"))
    assert _message(folder) == (
        f"{folder / 'finding.json'} is not of a bundle: its schema is 'exportcheck-report', expected 'exportcheck-bundle'."
    )


def test_a_file_that_is_not_json_is_refused(folder: Path) -> None:
    (folder / "finding.json").write_text("{")
    assert _message(folder) == (
        f"{folder / 'finding.json'} is not of a bundle (Input data was truncated). pytest --exportcheck-repro-dir writes bundles."
    )


def test_a_damaged_file_is_named(folder: Path) -> None:
    _edit(folder / "finding.json", lambda content: content.pop("outcome"))
    assert _message(folder) == (
        f"{folder / 'finding.json'} is damaged: Object missing required field `outcome`. Write the bundle again."
    )
