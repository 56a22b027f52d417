"""A program that is read as data has the record of the program that is built from the same file."""

from __future__ import annotations

import pytest

from pytest_exportcheck.describe import program_of
from pytest_exportcheck.describe.plain_programs import (
    input_places_of,
    plain_call_spec_of,
    plain_program_of,
    spec_words,
)
from pytest_exportcheck.errors import SchemaError
from pytest_exportcheck.policy import METADATA
from pytest_exportcheck.reference.pt2.convert.program import from_structures, read_foreign_spec
from pytest_exportcheck.reference.pt2.json.codec import decode_program
from pytest_exportcheck.reference.pt2.program.from_plain import build_program
from pytest_exportcheck.reference.pt2.treespec.foreign import describe_foreign
from tests.hostile.programs import samples

#: Keys of metadata that a contract judges, without what a loader derives; annotations of
#: unusual types are compared by their keys.
JUDGED = {key.rpartition(".")[2] for key in METADATA} - {"unbacked_bindings", "custom"}


def judged(meta):
    return {key: value for key, value in meta.items() if key in JUDGED}


def plain_of(sample):
    structures, _ = decode_program(samples()[sample].records["models/model.json"], where="file")
    return from_structures(structures, read_foreign_spec)


def both(sample):
    """The record of the plain program, and that of the built one."""
    given = samples()[sample]
    structures, _ = decode_program(given.records["models/model.json"], where="file")
    built = build_program(
        from_structures(structures), state=given.state, constants=given.constants, example_inputs=None
    )
    return plain_program_of(plain_of(sample), constants={}, state=built.state_dict), program_of(built)


@pytest.mark.parametrize("sample", samples())
def test_the_nodes_are_the_same(sample):
    one, other = both(sample)
    assert list(one.graphs) == list(other.graphs)
    for path, graph in one.graphs.items():
        pairs = list(zip(graph.nodes, other.graphs[path].nodes, strict=True))
        for field in ("name", "op", "target", "args", "kwargs", "val", "origin", "facts"):
            assert [getattr(left, field) for left, _ in pairs] == [getattr(right, field) for _, right in pairs], field
        for left, right in pairs:
            assert judged(left.meta) == judged(right.meta), left.name
            assert set(left.meta.get("custom", ())) == set(right.meta.get("custom", ())), left.name
        assert graph.regions == other.graphs[path].regions


@pytest.mark.parametrize("sample", samples())
def test_the_rest_is_the_same(sample):
    one, other = both(sample)
    assert one.signature == other.signature
    assert list(one.constraints.shapes.values()) == list(other.constraints.shapes.values())
    assert one.constraints.guards == other.constraints.guards
    assert one.constraints.unused == other.constraints.unused
    assert list(one.constraints.ranges.values()) == list(other.constraints.ranges.values())
    assert (one.state_names, one.tied_names) == (other.state_names, other.tied_names)
    assert (one.dialect, list(one.module_calls)) == (other.dialect, list(other.module_calls))


def test_an_input_is_named_by_keys_and_numbers():
    given = plain_of("derived-torch")
    assert input_places_of(given) == ["args[0]", "args[1]"]
    assert plain_call_spec_of(given).inputs == "((*, *), dict())"


SPEC = (
    '[1, {"type": "shop.Order", "context": "[\\"id\\"]", "children_spec": '
    '[{"type": "builtins.dict", "context": "[\\"a\\"]", "children_spec": '
    '[{"type": null, "context": null, "children_spec": []}]}]}]'
)


def test_a_class_that_is_not_registered_here_is_named():
    assert spec_words(describe_foreign(SPEC)) == "shop.Order['id'](0: dict('a': *))"


@pytest.mark.parametrize("text", ["{", "[1]", '[2, {"type": null}]', "[1, " + "[" * 5000])
def test_a_spec_that_is_damaged_is_refused(text):
    with pytest.raises(SchemaError, match=r"The file is damaged or its writer is at fault: save the program again\.$"):
        describe_foreign(text)
