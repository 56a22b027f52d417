"""The script of a reduced bundle, which is run before it is written: plain source where that shows the finding."""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from pytest_exportcheck.bundles.modules import name_of
from pytest_exportcheck.bundles.reduction.draft import Candidate
from pytest_exportcheck.bundles.reduction.respelled import respelled
from pytest_exportcheck.bundles.reduction.script import Subject, can_script, module_text, scripts_of
from pytest_exportcheck.bundles.reduction.sources import executed
from pytest_exportcheck.bundles.reduction.spelling import Unspeakable
from pytest_exportcheck.engines.protocol import Engine
from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.harness.isolation import quiet
from pytest_exportcheck.harness.process_state import preserved_globals
from pytest_exportcheck.records import BundleRecord
from pytest_exportcheck.reports.reduction import title_of
from pytest_exportcheck.run.reducing import Showing

#: Seconds that a script may take.
_SECONDS = 300


@dataclass(frozen=True)
class Script:
    """A script that shows the finding, or the reason why there is none. ``module`` is the source of its
    module, ``engine`` what it imports besides torch."""

    text: str = ""
    module: str = ""
    engine: str = ""
    reason: str = ""


def script_for(candidate: Candidate, showing: Showing, engine: Engine) -> Script:
    """Write a script of plain source, and run it."""
    record = showing.bundle.record
    imported = "" if type(engine.bare) is TorchExport else _factory_of(engine)
    if imported is None:
        return Script(reason=f"the engine {engine.name!r} cannot be imported by the name of a class without arguments")
    subject = _subject(record, showing, imported)
    reason = can_script(subject)
    if reason:
        return Script(reason=reason)
    try:
        again = respelled(candidate)
        if showing.judged(again.candidate) is None:
            return Script(reason="torch captures another program of its source, which does not show the finding")
        for text in scripts_of(candidate, subject, again.spelling):
            if _fails(text) and _exits_with_one(text):
                return Script(text, module_text(candidate, again.spelling), imported)
    except Unspeakable as error:
        return Script(reason=f"it has no plain source ({error})")
    return Script(reason="a script of its source does not show the finding")


def _subject(record: BundleRecord, showing: Showing, engine: str) -> Subject:
    finding = showing.wanted
    return Subject(
        title=title_of(finding, record.stage, str(torch.__version__)),
        check=finding.check,
        change=finding.change,
        key=finding.key,
        capture=showing.bundle.mode.capture,
        stage=record.stage,
        exact=record.level == "bits",
        engine=engine,
    )


def _factory_of(engine: Engine) -> str | None:
    """Return ``module:name`` of the class of an engine that is made without arguments, None where there is none."""
    made = type(engine.bare)
    try:
        parameters = inspect.signature(made).parameters.values()
    except (TypeError, ValueError):
        return None
    needed = [each for each in parameters if each.default is each.empty and each.kind < each.VAR_POSITIONAL]
    return None if needed else name_of(made) or None


def _fails(text: str) -> bool:
    """Return True if a script, run in this process, prints what is expected and got, and then fails."""
    printed = io.StringIO()
    try:
        with preserved_globals(), quiet(), contextlib.redirect_stdout(printed), executed(text, {}):
            pass
    except SystemExit as ended:
        return bool(ended.code) and _is_shown(printed.getvalue())
    except Exception:  # the comparison, if both values are printed
        return _is_shown(printed.getvalue())
    return False


def _exits_with_one(text: str) -> bool:
    """Return True if a script fails in a process that has nothing but it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "repro.py"
        path.write_text(text, encoding="utf-8")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        try:
            result = subprocess.run(
                [sys.executable, str(path)],
                capture_output=True,
                text=True,
                env=environment,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
    return result.returncode == 1 and _is_shown(result.stdout)


def _is_shown(printed: str) -> bool:
    return "expected " in printed and "got      " in printed
