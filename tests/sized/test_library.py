"""Every entry of the library is what it says, shown by brute force over small sizes."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest
import torch
from packaging.specifiers import SpecifierSet
from torch.export import ExportedProgram

from tests.sized.library import SIZED
from tests.sized.outcome import Pair, grid, undeclared
from tests.sized.sized import Sized

_HERE = tuple(entry for entry in SIZED if torch.__version__.partition("+")[0] in SpecifierSet(entry.torch))
_DECLARED = tuple(entry for entry in _HERE if entry.kind != "accepts")
_UNDECLARED = tuple(entry for entry in _HERE if entry.kind == "accepts")


def _id(entry: Sized) -> str:
    return entry.id


@cache
def _faulty(entry: Sized) -> Pair:
    return Pair(entry, sound=False)


@cache
def _sound(entry: Sized) -> Pair:
    return Pair(entry, sound=True)


def test_every_entry_has_a_name_of_its_own():
    assert [name for name, count in Counter(entry.id for entry in SIZED).items() if count > 1] == []


@pytest.mark.parametrize("entry", SIZED, ids=_id)
def test_it_names_its_smallest_sizes_unless_it_accepts_too_much(entry: Sized):
    assert list(entry.minimal or ()) == ([] if entry.kind == "accepts" else list(entry.roots))


@pytest.mark.parametrize("entry", _HERE, ids=_id)
def test_the_example_shows_nothing(entry: Sized):
    assert _faulty(entry).outcome(entry.lengths(entry.example)) == "same"


@pytest.mark.parametrize("entry", [each for each in _HERE if each.edit and each.kind == "differs"], ids=_id)
def test_an_edit_of_values_leaves_alone_what_is_enforced(entry: Sized):
    assert _enforced(_faulty(entry).program) == _enforced(_sound(entry).program)


def _enforced(program: ExportedProgram) -> tuple[object, ...]:
    given = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"]
    return [str(val.shape) for val in given], str(program.range_constraints), program._guards_code


@pytest.mark.parametrize("entry", _DECLARED, ids=_id)
def test_the_first_sizes_that_fail_are_the_minimal_ones(entry: Sized):
    for sizes in grid(entry):
        outcome = _faulty(entry).outcome(entry.lengths(sizes))
        if outcome != "same":
            assert (sizes, outcome) == (entry.minimal, entry.kind)
            return
    pytest.fail("nothing fails")


@pytest.mark.parametrize("entry", _UNDECLARED, ids=_id)
def test_of_the_declared_sizes_none_fails_where_too_much_is_accepted(entry: Sized):
    wrong = {
        str(sizes): outcome
        for sizes in grid(entry)
        if (outcome := _faulty(entry).outcome(entry.lengths(sizes))) != "same"
    }
    assert wrong == {}


@pytest.mark.parametrize("entry", _UNDECLARED, ids=_id)
def test_a_size_that_is_not_declared_is_accepted_with_another_result(entry: Sized):
    outcomes = {lengths: _faulty(entry).outcome(lengths) for lengths in undeclared(entry)}
    assert {"differs", "invents"} & set(outcomes.values()), outcomes


@pytest.mark.parametrize("entry", _HERE, ids=_id)
def test_without_the_defect_every_declared_size_is_right(entry: Sized):
    wrong = {
        str(sizes): outcome
        for sizes in grid(entry)
        if (outcome := _sound(entry).outcome(entry.lengths(sizes))) != "same"
    }
    assert wrong == {}


@pytest.mark.parametrize("entry", _UNDECLARED, ids=_id)
def test_without_the_defect_no_size_that_is_not_declared_gives_another_result(entry: Sized):
    outcomes = {lengths: _sound(entry).outcome(lengths) for lengths in undeclared(entry)}
    assert {lengths: outcome for lengths, outcome in outcomes.items() if outcome in ("differs", "invents")} == {}
