"""A step that takes long says so; one that does not is silent."""

from __future__ import annotations

import threading
from typing import cast

import pytest

from pytest_exportcheck.session.progress import Progress


@pytest.fixture
def written():
    """Lines that were written, and an event for having enough of them."""
    lines, enough = [], threading.Event()

    def write(line):
        lines.append(line)
        if len(lines) == 2:
            enough.set()

    return lines, enough, write


def test_a_quick_step_says_nothing(written):
    lines, _, write = written
    with Progress(write, delay=30)("running net"):
        pass
    assert lines == []


def test_a_slow_step_says_so_again_and_again(written):
    lines, enough, write = written
    with Progress(write, delay=0.01)("running net"):
        assert enough.wait(10)
    assert lines[:2] == ["exportcheck: still running net (0 s)"] * 2


def test_a_line_ends_with_the_progress_of_the_run(written):
    lines, enough, write = written
    with Progress(write, delay=0.01, status=lambda: "3 of 9 items done in 40 s")("running net"):
        assert enough.wait(10)
    assert lines[0] == "exportcheck: still running net (0 s); 3 of 9 items done in 40 s"


def test_nothing_is_written_after_the_step(written):
    _, enough, write = written
    threads = threading.active_count()
    with Progress(write, delay=0.01)("running net"):
        assert enough.wait(10)
    assert threading.active_count() == threads


def test_an_exception_ends_the_watching_and_is_passed_on(written):
    _, _, write = written
    threads = threading.active_count()
    with pytest.raises(ValueError, match=r"^stop$"), Progress(write, delay=30)("running net"):
        raise ValueError("stop")
    assert threading.active_count() == threads


def test_the_waiting_doubles():
    waits = []

    class Clockless:
        """An event that never happens, five times over."""

        def wait(self, seconds):
            waits.append(seconds)
            return len(waits) == 3

    Progress(lambda line: None, delay=0.0)._watch("running net", cast("threading.Event", Clockless()))
    assert waits[0] == 0.0
    assert waits == sorted(waits)
