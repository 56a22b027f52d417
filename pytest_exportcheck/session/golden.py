"""The hooks of golden programs: stale ones fail or are deleted, and an update says what it did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_exportcheck.errors import GoldenError
from pytest_exportcheck.golden.folder import remove_golden
from pytest_exportcheck.records.golden import GoldenChange
from pytest_exportcheck.reports.golden import stale_text, update_lines
from pytest_exportcheck.session.items import SESSION, BrokenItem
from pytest_exportcheck.session.messages import message_of, outbox
from pytest_exportcheck.session.relative_paths import RelativePaths

_REMOVED = "exportcheck_golden_removed"
_CHANGE = "golden "


class StaleItem(BrokenItem):
    """An item for the golden programs of a case that does not exist: it fails, unless an update deletes them."""

    def __init__(self, *, folder: Path, **rest: Any) -> None:
        super().__init__(**rest)
        self.folder = folder

    def runtest(self) -> None:
        golden = self.config.stash[SESSION].golden
        if golden is None or not golden.update:
            super().runtest()
        try:
            remove_golden(self.folder)
        except GoldenError as error:
            self.message = str(error)
            super().runtest()
        self.user_properties.append((_REMOVED, self.folder.name))


class GoldenPlugin:
    """The plugin for golden programs. Its lines come from reports, so that they arrive from workers of pytest-xdist."""

    def __init__(self, config: pytest.Config, *, in_part: bool) -> None:
        self._config = config
        self._in_part = in_part
        self._changes: list[tuple[GoldenChange, str]] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note that the cases of a file were not collected: it was skipped, or could not be imported."""
        self._in_part = self._in_part or not report.passed

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        """Add an item for each stale folder, unless some cases were not collected."""
        golden = self._config.stash[SESSION].golden
        if golden is None or self._in_part or any(isinstance(item, BrokenItem) for item in items):
            return
        paths = RelativePaths(self._config.rootpath)
        try:
            stale = golden.stale()
        except GoldenError as error:
            raise pytest.UsageError(f"exportcheck: {error}") from None
        for folder in stale:
            message = stale_text(paths.of(str(folder)))
            item = StaleItem.from_parent(session, name=f"golden-{folder.name}", message=message, folder=folder)
            items.append(item)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call":
            return
        outcome = message_of(report).outcome
        for name, change in outcome.facts.items() if outcome else ():
            if name.startswith(_CHANGE) and outcome is not None:
                self._add(str(change), f"{outcome.case}/{name.removeprefix(_CHANGE)}")
        for name, value in report.user_properties:
            if name == _REMOVED:
                self._add("removed", str(value))

    def _add(self, change: str, name: str) -> None:
        kinds: dict[str, GoldenChange] = {
            "new": "new",
            "changed": "changed",
            "unchanged": "unchanged",
            "removed": "removed",
        }
        self._changes.append((kinds[change], name))

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        golden = self._config.stash.get(SESSION, None)
        if outbox(self._config) is None and self._changes and golden is not None:
            for line in update_lines(self._changes):
                terminalreporter.write_line(line)
