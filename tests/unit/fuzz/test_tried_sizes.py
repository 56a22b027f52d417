"""The log of the sizes that fuzzing tried."""

from __future__ import annotations

import pytest

from pytest_exportcheck.fuzz.tried_sizes import SizesLog
from pytest_exportcheck.records import SizesTried


def test_each_size_is_kept_once_with_its_result_and_a_failing_one_is_failing_however_often_it_agrees():
    log = SizesLog()
    for size in (4, 2, 4, 7):
        with log.example({"batch": size}):
            pass
    with pytest.raises(ValueError, match="no sevens"), log.example({"batch": 7}):
        raise ValueError("no sevens")
    log.add({"batch": 1}, "invalid")
    assert log.record(["batch"], {"batch too small"}, ()) == SizesTried(
        names=("batch",), agreed=((2,), (4,)), failing=((7,),), invalid=((1,),), refused=("batch too small",)
    )


def test_of_many_sizes_some_are_left_out_and_the_ends_are_kept():
    log = SizesLog()
    for size in range(100):
        log.add({"batch": size, "length": 3}, "agreed")
    found = log.record(["batch", "length"], (), ())
    assert (len(found.agreed), found.agreed[0], found.agreed[-1], found.left_out) == (60, (0, 3), (99, 3), 40)
