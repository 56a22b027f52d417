"""The plugins of a session with ``--exportcheck``."""

from __future__ import annotations

import pytest

from pytest_exportcheck.options import Options
from pytest_exportcheck.session.collection import CollectionPlugin
from pytest_exportcheck.session.expectations import ExpectationsPlugin
from pytest_exportcheck.session.golden import GoldenPlugin
from pytest_exportcheck.session.outputs import register_outputs
from pytest_exportcheck.session.progress import ProgressPlugin
from pytest_exportcheck.session.recorder import Recorder
from pytest_exportcheck.session.required import RequiredPlugin
from pytest_exportcheck.session.selection import selected
from pytest_exportcheck.session.summary import SummaryPlugin
from pytest_exportcheck.session.xdist import ParallelPlugin


def register_plugins(config: pytest.Config, options: Options) -> None:
    """Register the plugins of a session. Of hooks that are ``tryfirst``, pytest calls that of the last plugin first: a
    collection that is refused is not matched with expected failures.
    """
    parallel = ParallelPlugin(config, selected(config, options))
    options, in_part = parallel.options, parallel.in_part
    expectations = ExpectationsPlugin(config, in_part=in_part)
    recorder = Recorder(config, options)
    progress = ProgressPlugin(config, recorder, workers=parallel.workers)
    collection = CollectionPlugin(config, options, journal=parallel.journal, progress=progress.of_step, in_part=in_part)
    summary = SummaryPlugin(config, options, recorder=recorder, collection=collection, workers=parallel.workers)
    config.pluginmanager.register(expectations, "exportcheck-expectations")
    config.pluginmanager.register(collection, "exportcheck-collection")
    config.pluginmanager.register(parallel, "exportcheck-parallel")
    config.pluginmanager.register(recorder, "exportcheck-recorder")
    config.pluginmanager.register(progress, "exportcheck-progress")
    config.pluginmanager.register(summary, "exportcheck-summary")
    if options.required:
        required = RequiredPlugin(config, options.required, recorder)
        config.pluginmanager.register(required, "exportcheck-required")
    if options.golden:
        config.pluginmanager.register(GoldenPlugin(config, in_part=in_part), "exportcheck-golden")
    register_outputs(config, options, recorder)
