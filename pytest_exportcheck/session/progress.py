"""Progress messages: of steps that take long, from a timer thread, so that a slow capture does not look like a hang; and
of long runs, with a count and an estimate.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest

from pytest_exportcheck.reports.remaining_time import progress_text
from pytest_exportcheck.session.messages import outbox
from pytest_exportcheck.session.recorder import Recorder


class Progress:
    """A context manager factory: ``with progress("running ..."):`` writes a line after ``delay`` seconds, and again
    each time the waiting time has doubled. ``status`` gives a text about the run as a whole, if there is one.
    """

    def __init__(
        self, write: Callable[[str], None], delay: float = 10.0, status: Callable[[], str] = lambda: ""
    ) -> None:
        self._write = write
        self._delay = delay
        self._status = status

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        over = threading.Event()
        thread = threading.Thread(target=self._watch, args=(what, over), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _watch(self, what: str, over: threading.Event) -> None:
        started, wait = time.monotonic(), self._delay
        while not over.wait(wait):
            passed = time.monotonic() - started
            status = self._status()
            self._write(f"exportcheck: still {what} ({passed:.0f} s){'; ' if status else ''}{status}")
            wait = passed


#: Seconds of a run before its first line, and the most between two lines; the time between them doubles.
_FIRST, _MOST = 30.0, 300.0
_CACHE = "exportcheck/durations"
#: Seconds of so many items are kept for the estimates of the next run.
_KEPT = 20_000


class ProgressPlugin:
    """The plugin that reports the progress of a long run: in a terminal, and not with ``-q``. Workers of pytest-xdist
    have no terminal; their controller reports for them. It keeps the durations of items in pytest's cache.
    """

    def __init__(self, config: pytest.Config, recorder: Recorder, workers: int = 0) -> None:
        self._config = config
        self._recorder = recorder
        self._workers = workers
        self._started = time.monotonic()
        self._next = _FIRST
        self._last: Mapping[str, float] = {}
        self.of_step = Progress(self._write_during_step, status=self._status)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self) -> None:
        if self._cache is not None:
            kept = self._cache.get(_CACHE, {})
            self._last = {name: each for name, each in kept.items() if isinstance(each, (int, float))}
        self._started = time.monotonic()

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        passed = time.monotonic() - self._started
        if report.when == "teardown" and passed >= self._next:
            self._next = passed + min(passed, _MOST)
            status = self._status()
            if status:
                self._write_between_items(f"exportcheck: {status}")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        done = self._recorder.durations
        if self._cache is not None and done and outbox(self._config) is None:
            others = {name: each for name, each in self._last.items() if name not in done}
            self._cache.set(_CACHE, dict([*others.items(), *done.items()][-_KEPT:]))

    def _status(self) -> str:
        """Return the text about the run; empty without a terminal, with -q, and where nothing is left."""
        planned, done = self._recorder.selected, self._recorder.durations
        if self._reporter is None or not self._reporter.isatty or self._quiet or len(done) >= len(planned):
            return ""
        passed = time.monotonic() - self._started
        return progress_text(planned, done, self._last, processes=self._workers, passed=passed)

    def _write_between_items(self, text: str) -> None:
        """Write a line after the results so far. pytest ends it itself if it writes the name of a file or an item before
        the next result; pytest-xdist writes no names.
        """
        writer = self._config.get_terminal_writer()
        self._reporter.ensure_newline()
        if writer.width_of_current_line:
            writer.line()
        writer.write(text)
        if self._workers or not (self._reporter.showfspath or self._reporter.showlongtestinfo):
            writer.line()
        writer.flush()

    def _write_during_step(self, text: str) -> None:
        """Write a line from a timer's thread while a step runs: pytest's capture is active then, and stays active
        afterwards.
        """
        capture = self._config.pluginmanager.getplugin("capturemanager")
        if self._reporter is not None and not self._quiet:  # workers of pytest-xdist have none
            with capture.global_and_fixture_disabled() if capture else nullcontext():
                self._reporter.write_line(text)

    @property
    def _reporter(self) -> Any:
        return self._config.pluginmanager.getplugin("terminalreporter")

    @property
    def _quiet(self) -> bool:
        return self._config.get_verbosity() < 0

    @property
    def _cache(self) -> Any:
        """Return pytest's cache; None without the plugin cacheprovider."""
        return getattr(self._config, "cache", None)
