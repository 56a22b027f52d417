"""``exportcheck replay FOLDER...``: bundles replayed one after the other, with the engines of plugins."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pytest_exportcheck import __version__
from pytest_exportcheck.bundles.read import read_bundle
from pytest_exportcheck.errors import BundleError, ExportcheckError
from pytest_exportcheck.reports.bundles import environment_text, replay_lines, verdict_text
from pytest_exportcheck.run.hooks import Hooks
from pytest_exportcheck.run.registry import Registry
from pytest_exportcheck.run.replay import Verdict, registry_for, replay

#: The exit status of one replay; that of several is the highest.
STATUS: Mapping[Verdict, int] = {"fixed": 0, "still fails": 1, "fails differently": 2}
NOT_REPLAYED = 3


def replayed(folders: Sequence[Path], plugins: Sequence[str], write: Callable[[str], object]) -> int:
    """Replay bundles, write what they show, and return the exit status."""
    if len(folders) > 1:
        return max(_in_a_process(folder, plugins, write) for folder in folders)
    try:
        registry = registry_for(hooks_of(plugins))
    except ExportcheckError as error:
        write(f"exportcheck: {error}")
        return NOT_REPLAYED
    return _replayed(folders[0], registry, write)


def _in_a_process(folder: Path, plugins: Sequence[str], write: Callable[[str], object]) -> int:
    """Replay one of several bundles in a separate process: they may hold modules of the same names."""
    named = [word for plugin in plugins for word in ("-p", plugin)]
    command = [sys.executable, "-m", "pytest_exportcheck.cli", "replay", *named, str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    for line in result.stdout.splitlines():
        write(line)
    if 0 <= result.returncode <= NOT_REPLAYED:
        return result.returncode
    last = (result.stderr.strip().splitlines() or ["it wrote nothing"])[-1]
    write(f"exportcheck: {folder}: the process ended with status {result.returncode}: {last}")
    return NOT_REPLAYED


def _replayed(folder: Path, registry: Registry, write: Callable[[str], object]) -> int:
    try:
        bundle = read_bundle(folder)
        result = replay(bundle, registry)
    except ExportcheckError as error:
        write(f"exportcheck: {error}")
        return NOT_REPLAYED
    write(f"{folder}: {verdict_text(result.verdict, result.finding)}")
    for line in replay_lines(bundle.record, result.outcome, result.finding):
        write(line)
    was = bundle.environment.settings
    text = environment_text(was, replace(was, torch=str(torch.__version__), exportcheck=__version__))
    if text:
        write(text)
    return STATUS[result.verdict]


def hooks_of(plugins: Sequence[str]) -> Hooks:
    """Return the hooks of installed plugins, and of those that are named, as pytest finds them.

    Raises
    ------
    BundleError
        When a plugin cannot be imported.
    """
    manager = pytest.PytestPluginManager()
    manager.load_setuptools_entrypoints("pytest11")
    for name in plugins:
        try:
            manager.import_plugin(name)
        except ImportError as error:
            raise BundleError(
                f"-p {name}: the plugin cannot be imported ({error}). Name a module on Python's path."
            ) from error
    hooks = Hooks()
    for plugin in manager.get_plugins():
        hooks.adopt(plugin)
    return hooks
