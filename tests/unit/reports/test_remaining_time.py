"""How long the rest of a run takes: from the items of this run, and from the run before."""

from __future__ import annotations

import pytest

from pytest_exportcheck.reports.remaining_time import estimate, progress_text

PLANNED = [f"a.py::m[torch-{number}]" for number in range(10)]
FUZZED = [f"a.py::m[torch-{number}-fuzz]" for number in range(10)]


def seconds(names, each):
    return dict.fromkeys(names, float(each))


def test_the_mean_of_the_items_so_far_is_expected_of_the_rest():
    found = estimate(PLANNED, seconds(PLANNED[:4], 2), {})
    assert found is not None
    assert (found.seconds, found.basis) == (12.0, "by the items so far")


def test_two_items_tell_nothing_of_others():
    assert estimate(PLANNED, seconds(PLANNED[:2], 2), {}) is None


def test_the_last_run_tells_from_the_first_item_on():
    found = estimate(PLANNED, seconds(PLANNED[:1], 2), seconds(PLANNED, 3))
    assert found is not None
    assert (found.seconds, found.basis) == (27.0, "by the last run")


def test_a_slower_machine_is_taken_into_account():
    found = estimate(PLANNED, seconds(PLANNED[:4], 6), seconds(PLANNED, 3))
    assert found is not None
    assert found.seconds == 36.0


def test_new_items_take_the_mean():
    found = estimate(PLANNED, seconds(PLANNED[:4], 2), seconds(PLANNED[:9], 2))
    assert found is not None
    assert (found.seconds, found.basis) == (12.0, "by the last run and the items so far")


def test_fuzz_items_are_estimated_from_fuzz_items():
    done = seconds(PLANNED[:4], 1) | seconds(FUZZED[:4], 11)
    found = estimate([*PLANNED[:4], *FUZZED], done, {})
    assert found is not None
    assert found.seconds == 66.0


def test_items_of_no_length_in_the_last_run_are_no_measure():
    found = estimate(PLANNED, seconds(PLANNED[:4], 2), seconds(PLANNED, 0))
    assert found is not None
    assert found.seconds == 0.0


def test_workers_share_the_rest():
    found = estimate(PLANNED, seconds(PLANNED[:4], 2), {}, processes=3)
    assert found is not None
    assert found.seconds == 4.0


@pytest.mark.parametrize(
    ("each", "passed", "text"),
    [
        (0.2, 31, "4 of 10 items done in 31 s, about 10 s left (by the items so far)"),
        (20, 80, "4 of 10 items done in 1 min, about 2 min left (by the items so far)"),
        (900, 3600, "4 of 10 items done in 1 h 0 min, about 1 h 30 min left (by the items so far)"),
    ],
)
def test_durations_are_as_exact_as_an_estimate(each, passed, text):
    assert progress_text(PLANNED, seconds(PLANNED[:4], each), {}, passed=passed) == text


def test_without_an_estimate_the_items_are_counted():
    assert progress_text(PLANNED[:2], seconds(PLANNED[:1], 40), {}, passed=40) == "1 of 2 items done in 40 s"
