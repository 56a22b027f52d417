"""The files of a project that a module comes from are found by what they import."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_exportcheck.bundles.sources import sources_of

_FILES = {
    "shop_bundle/__init__.py": "",
    "shop_bundle/layers.py": "import torch\nfrom . import sizes\n",
    "shop_bundle/sizes.py": "import json\nimport msgspec\n",
    "shop_bundle/unused.py": "",
    "case_of_shop_bundle.py": "import pytest\nfrom shop_bundle.layers import sizes\n",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, text in _FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("case_of_shop_bundle")
    yield tmp_path
    for name in [name for name in sys.modules if "shop_bundle" in name]:
        del sys.modules[name]


def test_imported_files_are_copied_and_packages_are_named(project: Path) -> None:
    found = sources_of(["case_of_shop_bundle", "torch.nn.modules.linear"])
    assert sorted(found.files) == [name for name in sorted(_FILES) if "unused" not in name]
    assert found.files["shop_bundle/sizes.py"] == project / "shop_bundle/sizes.py"
    assert found.needs == ("msgspec",)
