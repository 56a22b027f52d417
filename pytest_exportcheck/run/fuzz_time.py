"""The time for fuzzing that the items of a run share."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pytest_exportcheck.options import Fuzzing


class FuzzTime:
    """The clock of one process. Every fuzz item gets an equal part of the time that is left, so that time that an item
    does not need goes to the items after it. With several processes, none knows which items the others run: this
    process expects its part of them, and gives further ones the part that they would have had.
    """

    def __init__(self, fuzzing: Fuzzing, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = fuzzing.seconds
        self._processes = fuzzing.processes
        self._clock = clock
        self._items = 0
        self._judged = 0
        self._used = 0.0

    def select(self, items: int) -> None:
        """Add fuzz items that the run has, in all processes."""
        self._items += items

    def judged(self) -> None:
        """Count a fuzz item that this process is done with, fuzzed or not."""
        self._judged += 1

    @contextmanager
    def part(self) -> Iterator[float | None]:
        """Give the seconds for the next item, and measure what it uses. None: no time is set."""
        started = self._clock()
        try:
            yield None if self._seconds is None else self._part(self._seconds)
        finally:
            self._used += self._clock() - started

    def _part(self, seconds: float) -> float:
        expected = max(1, math.ceil(self._items / self._processes))
        left = expected - self._judged
        return max(0.0, seconds - self._used) / left if left > 0 else seconds / expected
