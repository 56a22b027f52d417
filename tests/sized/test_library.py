"""Brute force over small sizes: every entry is wrong where it says, and nowhere without its defect."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.sized.library import SIZED
from tests.sized.run import failing_sizes


def test_every_entry_has_a_name_of_its_own():
    assert [name for name, number in Counter(each.id for each in SIZED).items() if number > 1] == []
    assert len(SIZED) >= 40


@pytest.mark.parametrize("entry", SIZED, ids=lambda each: each.id)
def test_the_entry_is_wrong_at_these_sizes_first(entry):
    assert next(failing_sizes(entry), None) == (dict(entry.minimal), entry.kind)
