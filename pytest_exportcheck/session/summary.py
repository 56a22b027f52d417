"""The hooks that write to the terminal: the header, and the summary of what the recorder recorded."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pytest_exportcheck import __version__
from pytest_exportcheck.harness._torch import schema_version_of_torch
from pytest_exportcheck.options import Options
from pytest_exportcheck.reports.terminal import Line, summary
from pytest_exportcheck.session.collection import CollectionPlugin
from pytest_exportcheck.session.items import SESSION
from pytest_exportcheck.session.messages import inbox, outbox
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

    def pytest_report_header(self) -> str:
        options = self._options
        threads = str(options.threads or torch.get_num_threads())
        threads += f" in each of {self._workers} workers" if self._workers else ""
        return (
            f"exportcheck: {__version__}, torch {torch.__version__}, export schema {'.'.join(map(str, schema_version_of_torch()))}, "
            f"profile {options.profile}, seed {options.seed}, threads {threads}"
        )

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        box = outbox(self._config)
        if box is not None:
            box[_TOLD] = [*self._collection.pytest_report_collectionfinish(), *self._told()]

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self._told_by_workers.update(dict.fromkeys(inbox(node).get(_TOLD, ())))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        outcomes = self._recorder.outcomes
        if not outcomes:
            return
        terminalreporter.section("exportcheck")
        for line in summary(outcomes, verbose=self._config.get_verbosity() > 0):
            _write(terminalreporter, line)
        for text in dict.fromkeys([*self._told_by_workers, *self._told()]):
            terminalreporter.write_line(text)

    def _told(self) -> list[str]:
        """Return the lines for the end of the summary."""
        session = self._config.stash.get(SESSION, None)
        return [*self._collection.told(), *(session.expectations.told() if session else ())]


def _write(reporter: Any, line: Line) -> None:
    for text, colour in line.pieces:
        reporter.write(text, **({colour: True} if colour else {}))
    reporter.write("\n")
