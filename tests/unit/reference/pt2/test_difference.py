"""What one plain value has that another lacks, and putting it back."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_exportcheck.errors import SchemaError
from pytest_exportcheck.reference.pt2.plain.difference import difference, restored
from pytest_exportcheck.reference.pt2.plain.values import same

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, -0.0, 1.0]) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)


@given(wanted=PLAIN, given_=PLAIN)
def test_the_difference_makes_one_of_the_other(wanted, given_):
    assert same(restored(given_, difference(wanted, given_)), wanted)


@given(wanted=PLAIN, given_=PLAIN)
def test_it_is_empty_where_they_are_the_same_and_nowhere_else(wanted, given_):
    assert (difference(wanted, given_) == {}) == same(wanted, given_)


@given(wanted=PLAIN, given_=PLAIN)
def test_it_survives_json(wanted, given_):
    change = msgspec.json.decode(msgspec.json.encode(difference(wanted, given_)))
    assert same(restored(given_, change), wanted)


@given(wanted=PLAIN, given_=PLAIN)
def test_what_it_is_made_of_stays_as_it_is(wanted, given_):
    before = msgspec.json.encode([wanted, given_])
    restored(given_, difference(wanted, given_))
    assert msgspec.json.encode([wanted, given_]) == before


@pytest.mark.parametrize(("one", "other"), [(1, True), (1, 1.0), (0.0, -0.0), ([0], [False])])
def test_values_that_python_takes_for_equal_differ(one, other):
    assert not same(one, other)


def test_only_what_differs_is_said():
    nodes = {"x": {"meta": {"val": 1}, "args": []}, "y": {"meta": {}, "args": [1, 2]}}
    other = {"x": {"meta": {"val": 1, "old": 2}, "args": []}, "y": {"meta": {}, "args": [1, 3]}}
    assert difference(nodes, other) == {
        "in": {"x": {"in": {"meta": {"without": ["old"]}}}, "y": {"in": {"args": {"at": {"1": {"is": 2}}}}}}
    }


@pytest.mark.parametrize(
    ("given_", "change"),
    [([1], {"at": {"4": {"is": 1}}}), (5, {"in": {"a": {"is": 1}}}), ({}, {"in": 5}), ([1], {"at": {"x": {"is": 1}}})],
)
def test_the_difference_of_another_value_is_refused(given_, change):
    with pytest.raises(SchemaError, match="the supplement does not fit the program of the file: "):
        restored(given_, change)
