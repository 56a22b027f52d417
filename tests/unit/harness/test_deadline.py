"""Time limits in this process, among other timers."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from pytest_exportcheck.harness.deadline import deadline


class Late(Exception):
    """The error of the block."""


class Others(Exception):
    """The error of a timer that somebody else set."""


@pytest.fixture(autouse=True)
def _usual_timer() -> Iterator[None]:
    handler, timer = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)
    signal.setitimer(signal.ITIMER_REAL, 0)  # that of pytest-timeout
    yield
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, *timer)


def _others(seconds: float) -> None:
    def end(*_: object) -> None:
        raise Others

    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def test_code_that_ends_in_time_is_left_alone() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with deadline(5, Late):
        pass
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    assert signal.getsignal(signal.SIGALRM) is before


def test_an_error_of_the_code_is_its_own() -> None:
    with pytest.raises(KeyError), deadline(5, Late):
        raise KeyError


def test_a_timer_that_ends_earlier_ends_the_code() -> None:
    _others(0.05)
    with pytest.raises(Others), deadline(5, Late):
        time.sleep(5)


def test_a_timer_that_ends_later_goes_on() -> None:
    _others(0.3)
    with pytest.raises(Late), deadline(0.05, Late):
        time.sleep(5)
    with pytest.raises(Others):
        time.sleep(5)


def test_another_thread_has_no_limit() -> None:
    done: list[str] = []

    def work() -> None:
        with suppress(Late), deadline(0.01, Late):
            time.sleep(0.05)
            done.append("done")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == ["done"]
