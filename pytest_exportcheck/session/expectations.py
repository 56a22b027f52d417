"""The hooks by which a session matches and writes its expected failures."""

from __future__ import annotations

import pytest

from pytest_exportcheck.errors import ExportcheckError
from pytest_exportcheck.expectations.store import ExpectationStore, Named
from pytest_exportcheck.records import Status
from pytest_exportcheck.session.collected import entry_item, whole_files
from pytest_exportcheck.session.items import SESSION, BrokenItem, CaseItem
from pytest_exportcheck.session.messages import message_of, outbox


class ExpectationsPlugin:
    """The plugin that matches the file of expected failures with the items of a session, and has it written at the end.
    ``in_part``: some files are left out of the collection.
    """

    def __init__(self, config: pytest.Config, *, in_part: bool = False) -> None:
        self._config = config
        self._in_part = in_part
        self._interrupted = False

    @property
    def _store(self) -> ExpectationStore | None:
        """Return the store of the session; None where the session ended at its start."""
        session = self._config.stash.get(SESSION, None)
        return session.expectations if session else None

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        """Match before anything is deselected. An entry that matches no case becomes a failing item."""
        if self._store is not None:
            ours = [_named(item) for item in items if isinstance(item, CaseItem)]
            broken = any(isinstance(item, BrokenItem) for item in items)
            self._store.collected(ours, self._in_part or broken, whole_files(self._config, items))
            items += [entry_item(session, self._store, entry) for entry in self._store.unmatched]

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if self._store is not None:
            self._store.selected([_named(item) for item in session.items if isinstance(item, CaseItem)])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        message = message_of(report)
        if self._store is not None and message.delta is not None:
            self._store.add(message.delta)
        if message.outcome is not None and message.outcome.status is Status.INTERRUPTED:
            self._interrupted = True

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the file, but not from a worker of pytest-xdist."""
        if self._store is None or outbox(self._config) is not None:
            return
        try:
            self._store.write(ended_early=self._interrupted or _ended_early(session))
        except ExportcheckError as error:
            self._store.tell(str(error))
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


def _named(item: CaseItem) -> Named:
    return Named(item.case_path, item.case.name, item.engine, str(item.mode))


def _ended_early(session: pytest.Session) -> bool:
    """Return True if items that were selected did not run: after ``-x``, or an interruption."""
    broken_off = (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR)
    return bool(session.shouldstop or session.shouldfail) or session.exitstatus in broken_off
