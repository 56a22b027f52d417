"""torch's draft-export report of a capture that raised, made by another process: tracing a model again must not harm a
run.

``python -m pytest_exportcheck.bundles.draft FOLDER`` writes it into the bundle.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import torch

from pytest_exportcheck.bundles.folder import DRAFT
from pytest_exportcheck.bundles.modules import SOURCE, factory_of, importable
from pytest_exportcheck.bundles.read import Bundle, read_bundle
from pytest_exportcheck.bundles.shapes import shapes_of
from pytest_exportcheck.harness._torch import draft_report

#: Seconds that the other process may take.
LIMIT = 120.0


def add_report(folder: Path) -> None:
    """Run another process that writes the report; there is none where that process fails, ends or takes too long."""
    path = os.pathsep.join(filter(None, sys.path))
    command = [sys.executable, "-m", __name__, str(folder)]
    try:
        subprocess.run(
            command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, timeout=LIMIT, check=False, cwd=folder
        )
    except subprocess.TimeoutExpired:
        return


def report_of(bundle: Bundle) -> str:
    """Return torch's report about what a capture of the module meets."""
    record, example = bundle.record, bundle.calls().example
    if record.module is None:
        return ""
    with importable(bundle.folder):
        torch.manual_seed(bundle.environment.settings.seed + record.case.seed)
        module = factory_of(bundle.folder, record.module)()
        module = module if record.case.train is None else module.train(record.case.train)
        shapes = shapes_of(record.case.dynamic_shapes)
        text = draft_report(module, example.args, dict(example.kwargs), shapes)
    folders = (bundle.folder / SOURCE, bundle.folder, Path(torch.__file__).parent.parent)
    for folder in folders:
        text = text.replace(f"{folder.resolve()}{os.sep}", "").replace(f"{folder}{os.sep}", "")
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


if __name__ == "__main__":
    _folder = Path(sys.argv[1])
    (_folder / DRAFT).write_text(report_of(read_bundle(_folder)), encoding="utf-8")
