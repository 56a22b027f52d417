"""Files of a newer minor version: their fields go with the program, and back into a file."""

from __future__ import annotations

import copy
import io
import json
import warnings

import pytest
import torch

from pytest_exportcheck import reference
from pytest_exportcheck.errors import SchemaWarning, SerializationWarning
from pytest_exportcheck.reference.pt2.plain.difference import difference
from pytest_exportcheck.reference.pt2.program.to_plain import plain_program


class Model(torch.nn.Module):
    def forward(self, x):
        return (x + 1).sin(), "s"  # the text stands in the supplement


@pytest.fixture
def newer():
    """The artifact of a program, with a field of tomorrow at a node and one at the top."""
    artifact = reference.serialize(torch.export.export(Model(), (torch.ones(2),)))
    tree = json.loads(artifact.exported_program)
    tree["schema_version"]["minor"] += 1
    tree["graph_module"]["graph"]["nodes"][1]["colour"] = {"as_name": "red"}
    tree["weather"] = [1, 2.5]
    return reference.SerializedArtifact(json.dumps(tree).encode(), artifact.state_dict, artifact.constants)


def tree_of(artifact):
    return json.loads(artifact.exported_program)


def test_the_fields_go_back_to_their_places(newer):
    with pytest.warns(SchemaWarning, match=r"\$\.weather, \$\.graph_module\.graph\.nodes\[1\]\.colour"):
        program = reference.deserialize(newer)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = reference.serialize(program)
    assert tree_of(again) == tree_of(newer)


def test_a_copy_of_the_program_has_them_too(newer):
    with pytest.warns(SchemaWarning):
        program = reference.deserialize(newer)
    assert tree_of(reference.serialize(copy.deepcopy(program))) == tree_of(newer)


def test_a_program_made_from_it_has_none(newer):
    with pytest.warns(SchemaWarning):
        program = reference.deserialize(newer)
    again = tree_of(reference.serialize(program.run_decompositions({})))
    assert (again["schema_version"]["minor"], "weather" in again) == (20, False)


def test_they_go_through_an_archive(newer):
    with pytest.warns(SchemaWarning):
        program = reference.deserialize(newer)
    file = io.BytesIO()
    reference.save(program, file)
    with pytest.warns(SchemaWarning, match=r"colour"):
        after = reference.load(file)
    assert difference(plain_program(program), plain_program(after)) == {}
    assert tree_of(reference.serialize(after)) == tree_of(newer)


def test_a_changed_program_is_written_without_them(newer):
    with pytest.warns(SchemaWarning):
        program = reference.deserialize(newer)
    next(node for node in program.graph.nodes if node.name == "sin").target = torch.ops.aten.cos.default
    with pytest.warns(SerializationWarning, match=r"^fields beyond schema 8\.20 \(\$\.weather, .*\) are left out"):
        again = tree_of(reference.serialize(program))
    assert (again["schema_version"]["minor"], "weather" in again) == (20, False)


def test_what_is_written_otherwise_here_cannot_be_kept(newer):
    tree = tree_of(newer)
    tree["graph_module"]["graph"]["nodes"][0]["metadata"]["mood"] = "kept by nobody"
    del tree["exportcheck"]
    artifact = reference.SerializedArtifact(json.dumps(tree).encode())
    with (
        pytest.warns(SchemaWarning),
        pytest.warns(SerializationWarning, match="this version serializes the program differently"),
    ):
        program = reference.deserialize(artifact)
    assert "weather" not in tree_of(reference.serialize(program))
