"""The hooks that write to the terminal: the header, and the summary of what the recorder recorded."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pytest_exportcheck import __version__
from pytest_exportcheck.harness._torch import schema_version_of_torch
from pytest_exportcheck.options import Options
from pytest_exportcheck.reports.terminal import counts_lines, summary
from pytest_exportcheck.session.collection import CollectionPlugin
from pytest_exportcheck.session.failures import fold_failures, write_line
from pytest_exportcheck.session.items import SESSION
from pytest_exportcheck.session.messages import inbox, outbox
from pytest_exportcheck.session.packages import notices
from pytest_exportcheck.session.recorder import Recorder

_TOLD = "exportcheck_told"


class SummaryPlugin:
    """The plugin that writes the header and the summary. ``workers`` is the number of processes that share the machine,
    0 for only this one. A worker of pytest-xdist sends at its end the lines that it has for the summary: only workers
    collect.
    """

    def __init__(
        self,
        config: pytest.Config,
        options: Options,
        *,
        recorder: Recorder,
        collection: CollectionPlugin,
        workers: int = 0,
    ) -> None:
        self._config = config
        self._options = options
        self._recorder = recorder
        self._collection = collection
        self._workers = workers
        self._told_by_workers: dict[str, None] = {}

    def pytest_report_header(self) -> list[str]:
        options = self._options
        threads = str(options.threads or torch.get_num_threads())
        threads += f" in each of {self._workers} workers" if self._workers else ""
        schema = ".".join(map(str, schema_version_of_torch()))
        return [
            f"exportcheck: {__version__}, torch {torch.__version__}, export schema {schema}",
            f"exportcheck: profile {options.profile}, seed {options.seed}, threads {threads}",
        ]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        box = outbox(self._config)
        if box is not None:
            box[_TOLD] = [*self._collection.pytest_report_collectionfinish(), *self._told()]
        fold_failures(self._config)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self._told_by_workers.update(dict.fromkeys(inbox(node).get(_TOLD, ())))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        outcomes = self._recorder.outcomes
        if not outcomes:
            return
        verbosity, writer = self._config.get_verbosity(), self._config.get_terminal_writer()
        if verbosity < 0:
            lines = counts_lines(outcomes, writer.fullwidth)
        else:
            terminalreporter.section("exportcheck")
            fuzzing = self._options.fuzz
            seconds = fuzzing.seconds if fuzzing else None
            each = f" in each of {self._workers} workers" if self._workers else ""
            time = f"{seconds:g} s{each}" if seconds is not None else ""
            lines = summary(outcomes, verbose=verbosity > 0, width=writer.fullwidth, fuzz_time=time)
        for line in lines:
            write_line(writer, line)
        for text in dict.fromkeys([*self._told_by_workers, *self._told()]):
            terminalreporter.write_line(text)

    def _told(self) -> list[str]:
        """Return the lines for the end of the summary."""
        session = self._config.stash.get(SESSION, None)
        bundles = [f"exportcheck: {line}" for line in self._recorder.bundles.values()]
        expected = session.expectations.told() if session else ()
        return [*self._collection.told(), *expected, *notices(self._config), *bundles]
