"""``exportcheck replay FOLDER...``: bundles replayed one after the other, with the engines of plugins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pytest_exportcheck import __version__
from pytest_exportcheck.bundles.read import Bundle, read_bundle
from pytest_exportcheck.bundles.weights import without_weights
from pytest_exportcheck.errors import BundleError, ExportcheckError
from pytest_exportcheck.reports.bundles import environment_text, replay_lines, verdict_text, weights_text
from pytest_exportcheck.run.hooks import Hooks
from pytest_exportcheck.run.registry import Registry
from pytest_exportcheck.run.replay import Verdict, registry_for, replay

#: The exit status of one replay; that of several is the highest.
STATUS: Mapping[Verdict, int] = {"fixed": 0, "still fails": 1, "fails differently": 2}
NOT_REPLAYED = 3


def replayed(
    folders: Sequence[Path], plugins: Sequence[str], write: Callable[[str], object], *, drop_weights: bool = False
) -> int:
    """Run bundles again, write what they show, and return the exit status. ``drop_weights``: those that still fail get
    random weights, where they then fail too.
    """
    try:
        registry = registry_for(hooks_of(plugins))
    except ExportcheckError as error:
        write(f"exportcheck: {error}")
        return NOT_REPLAYED
    return max(_replayed(folder, registry, write, drop_weights) for folder in folders)


def _replayed(folder: Path, registry: Registry, write: Callable[[str], object], drop_weights: bool) -> int:
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
    if drop_weights and result.verdict == "still fails":
        write(_dropped(bundle, registry))
    return STATUS[result.verdict]


def _dropped(bundle: Bundle, registry: Registry) -> str:
    if not bundle.record.weight_bytes:
        return "  it has no weights"
    try:
        done = without_weights(bundle, lambda other: replay(other, registry).verdict == "still fails")
    except ExportcheckError as error:
        return f"exportcheck: {error}"
    return weights_text(bundle.record, done=done)


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
            manager.import_plugin(name, consider_entry_points=True)
        except (ImportError, pytest.UsageError) as error:
            raise BundleError(
                f"-p {name}: the plugin cannot be imported ({error}). Name a module on Python's path."
            ) from error
    hooks = Hooks()
    for plugin in manager.get_plugins():
        hooks.adopt(plugin)
    return hooks
