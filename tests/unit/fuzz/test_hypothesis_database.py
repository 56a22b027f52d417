"""A database gives first choices under a key, then what another database keeps."""

from __future__ import annotations

import pytest
from hypothesis.database import InMemoryExampleDatabase, choices_to_bytes

from pytest_exportcheck.fuzz.hypothesis_database import FirstChoices

MINE, OTHER = b"mine", b"other"


def first_choices(*first, kept=None, most=9):
    return FirstChoices(MINE, first, kept, most)


def test_a_database_gives_the_first_choices_under_its_key_alone():
    database = first_choices([3], [4, 5])
    assert list(database.fetch(MINE)) == [choices_to_bytes([3, 0]), choices_to_bytes([4, 5, 0])]
    assert list(database.fetch(OTHER)) == []


def test_what_is_kept_comes_before_and_once():
    kept = InMemoryExampleDatabase()
    kept.save(MINE, choices_to_bytes([9]))
    kept.save(MINE, choices_to_bytes([4, 0]))
    database = first_choices([3], [4], kept=kept)
    found = list(database.fetch(MINE))
    assert set(found[:2]) == {choices_to_bytes([9]), choices_to_bytes([4, 0])}
    assert found[2:] == [choices_to_bytes([3, 0])]


@pytest.mark.parametrize(("most", "number"), [(0, 0), (1, 0), (2, 1), (3, 2), (9, 2)])
def test_what_is_kept_and_the_first_choices_together_are_no_more_than_asked_for(most, number):
    kept = InMemoryExampleDatabase()
    kept.save(MINE, choices_to_bytes([9]))
    found = list(first_choices([3], [4], kept=kept, most=most).fetch(MINE))
    assert found == [choices_to_bytes(each) for each in ([9], [3, 0], [4, 0])][: 1 + number]


def test_saving_and_deleting_goes_to_what_is_kept():
    kept = InMemoryExampleDatabase()
    database = first_choices([3], kept=kept)
    database.save(MINE, b"a")
    database.save(OTHER, b"b")
    database.delete(MINE, choices_to_bytes([3, 0]))
    assert (list(kept.fetch(MINE)), list(kept.fetch(OTHER))) == ([b"a"], [b"b"])
    database.delete(MINE, b"a")
    assert list(kept.fetch(MINE)) == []
    assert list(database.fetch(MINE)) == [choices_to_bytes([3, 0])]


def test_without_a_place_to_keep_nothing_is_kept():
    database = first_choices([3])
    database.save(MINE, b"a")
    database.delete(MINE, b"a")
    assert list(database.fetch(MINE)) == [choices_to_bytes([3, 0])]
