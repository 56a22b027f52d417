"""Progress messages for steps that take long, from a timer thread, so that a slow capture does not look like a hang."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Progress:
    """A context manager factory: ``with progress("running ..."):`` writes a line after ``delay`` seconds, and again
    each time the waiting time has doubled.
    """

    def __init__(self, write: Callable[[str], None], delay: float = 10.0) -> None:
        self._write = write
        self._delay = delay

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
            self._write(f"exportcheck: still {what} ({passed:.0f} s)")
            wait = passed
