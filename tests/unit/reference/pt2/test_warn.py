"""A warning about a program or a file points at the line that saved or loaded it."""

from __future__ import annotations

import inspect
import io
import json
import warnings
from dataclasses import replace

import pytest
import torch

from pytest_exportcheck import reference
from pytest_exportcheck.reference.pt2.warn import warn_caller


class Opaque:
    """A value that can only be pickled."""


class Net(torch.nn.Module):
    def forward(self, x, other):
        return (x + 1).sin(), "s"  # a file holds the text in the supplement


def program():
    made = torch.export.export(Net(), (torch.ones(2), None))
    next(node for node in made.graph.nodes if node.name == "sin").meta["engine"] = object()
    return made


def with_opaque_example():
    made = program()
    made._example_inputs = ((torch.ones(2), Opaque()), {})
    return made


def artifact(**changes):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = reference.serialize(program())
    text = json.loads(made.exported_program)
    return replace(made, exported_program=json.dumps({**text, **changes}).encode())


def newer():
    version = json.loads(artifact().exported_program)["schema_version"]
    return artifact(schema_version={**version, "minor": version["minor"] + 1}, weather=1)


def changed_since():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = reference.deserialize(newer())
    next(node for node in loaded.graph.nodes if node.name == "sin").target = torch.ops.aten.cos.default
    return loaded


@pytest.mark.parametrize(
    ("make", "use", "said"),
    [
        (
            with_opaque_example,
            lambda made: reference.save(made, io.BytesIO()),
            ["example inputs are left out", "'engine' of node sin"],
        ),
        (program, reference.serialize, ["'engine' of node sin"]),
        (newer, reference.deserialize, ["Update pytest-exportcheck"]),
        (changed_since, reference.serialize, ["are left out: the program was changed"]),
        (lambda: artifact(guards_code=["True"]), reference.deserialize, ["the supplement of the program is ignored"]),
        (lambda: artifact(opset_version={"aten": 999}), reference.deserialize, ["version 999 of the operators"]),
    ],
    ids=["save", "serialize", "newer fields", "changed since", "another tool", "newer operators"],
)
def test_a_warning_points_at_the_call(make, use, said):
    made = make()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        line = inspect.currentframe().f_lineno + 1
        use(made)
    ours = [each for each in caught if "exportcheck" in each.category.__module__]
    assert [text for text in said if not any(text in str(each.message) for each in ours)] == []
    assert {each.filename for each in ours} == {__file__}
    assert {each.lineno for each in ours} <= {line, use.__code__.co_firstlineno}


def test_a_warning_without_a_caller_outside_is_not_lost():
    space = {"__name__": "torch.inner", "warn": lambda: warn_caller("said", UserWarning)}
    with pytest.warns(UserWarning, match="said"):
        exec("warn()", space)
