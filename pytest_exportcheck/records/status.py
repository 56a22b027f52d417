"""The statuses that an item can have."""

from __future__ import annotations

from enum import Enum


class Status(str, Enum):
    """The status of an item. In JSON and in texts a status is its value; members are in the order of the legend.

    ``sign`` represents the status in the matrix, ``legend`` explains the sign, ``colour`` is the sign's in a terminal.
    An item whose status ``fails`` makes the run red. ``judged`` is False where nothing was compared. Of two statuses
    that an item had in several runs, the one of lower ``rank`` is the worse one.
    """

    sign: str
    legend: str
    colour: str
    fails: bool
    judged: bool
    rank: int

    PASSED = ("passed", ".", "passed", "green", False, True, 8)
    KNOWN = ("known", "k", "known defect (not of the model)", "yellow", False, True, 6)
    ENGINE_ERROR = (
        *("engine_error", "i", "internal failure of an engine or the plugin (not of the model)"),
        *("yellow", False, True, 4),
    )
    DISAGREEMENT = ("disagreement", "d", "two engines disagree", "yellow", False, True, 5)
    EXPECTED = ("expected", "x", "failed as expected", "yellow", False, True, 7)
    FAILED = ("failed", "F", "failed", "red", True, True, 1)
    STALE = ("stale", "S", "expected to fail but no longer does", "red", True, True, 2)
    ERROR = ("error", "E", "the case could not be set up", "red", True, False, 0)
    BLOCKED = ("blocked", "b", "blocked by an earlier stage", "yellow", False, False, 9)
    UNSUPPORTED = ("unsupported", "u", "unsupported by the engine", "yellow", False, False, 10)
    SKIPPED = ("skipped", "s", "skipped by the case itself", "yellow", False, False, 11)
    INTERRUPTED = ("interrupted", "!", "interrupted", "red", True, False, 3)

    def __new__(cls, value: str, sign: str, legend: str, colour: str, fails: bool, judged: bool, rank: int) -> Status:
        status = str.__new__(cls, value)
        status._value_ = value
        status.sign, status.legend, status.colour = sign, legend, colour
        status.fails, status.judged, status.rank = fails, judged, rank
        return status

    def __str__(self) -> str:
        return str.__str__(self)
