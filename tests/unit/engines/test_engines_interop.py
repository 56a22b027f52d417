"""The edge between engines of one format: who saves, who loads, who is blamed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pytest_exportcheck.engines import all_engines
from pytest_exportcheck.engines.artifacts import as_artifact
from pytest_exportcheck.engines.bare import as_engine
from pytest_exportcheck.engines.interop import with_interop
from pytest_exportcheck.engines.protocol import ProgramArtifact, Request
from pytest_exportcheck.errors import InteropError, Unsupported
from pytest_exportcheck.reference.pt2.convert.unrepresentable import MARK

ARTIFACT = as_artifact(ProgramArtifact("program", Request((), {}, None)), "a test")


def engine(name, load=lambda file: None, kind="pt2"):
    """Saves its name, and loads as it is told."""
    return as_engine(
        SimpleNamespace(name=name, format=kind, export=print, save=lambda _, file: file.write(name.encode()), load=load)
    )


def together(*engines):
    return with_interop({each.name: each for each in engines})


def raising(error):
    def load(file):
        raise error

    return load


def test_what_one_saves_the_other_loads():
    found = together(engine("a"), engine("b", load=lambda file: f"{file.read().decode()} by b"))
    made = found["a"].edges["interop"](ARTIFACT)
    assert (made.program, made.request) == ("a by b", ARTIFACT.request)


def test_every_other_one_loads_and_the_first_is_judged():
    found = together(*(engine(name, load=lambda file, name=name: (name, file.read())) for name in "abc"))
    assert found["b"].edges["interop"](ARTIFACT).program == ("a", b"b")
    broken = together(engine("a"), engine("b"), engine("c", load=raising(ValueError("no"))))
    with pytest.raises(InteropError) as caught:
        broken["a"].edges["interop"](ARTIFACT)
    assert str(caught.value) == "c cannot load what a saved: ValueError: no"


def test_an_artifact_names_its_readers():
    found = together(*(engine(name, load=lambda file, name=name: name) for name in "abc"))
    made = found["a"].edges["interop"](ARTIFACT)
    assert (made.reader, {name: other.program for name, other in made.other_readers.items()}) == ("b", {"c": "c"})


def test_what_comes_after_an_interop_has_no_other_readers():
    found = together(*(engine(name, load=lambda file, name=name: name) for name in "abc"))
    loaded = found["a"].edges["serdes"](found["a"].edges["interop"](ARTIFACT))
    assert (loaded.program, loaded.reader, loaded.other_readers) == ("a", "", {})


def test_the_one_that_cannot_load_is_named():
    found = together(engine("a"), engine("b", load=raising(ValueError("odd bytes"))))
    with pytest.raises(InteropError) as caught:
        found["a"].edges["interop"](ARTIFACT)
    assert str(caught.value) == "b cannot load what a saved: ValueError: odd bytes"


@pytest.mark.parametrize("error", [Unsupported("no sparse tensors"), RuntimeError(f"cannot resolve {MARK}")])
def test_what_the_other_has_no_form_for_is_unsupported(error):
    found = together(engine("a"), engine("b", load=raising(error)))
    with pytest.raises(Unsupported):
        found["a"].edges["interop"](ARTIFACT)


def test_engines_of_another_format_or_of_none_do_not_meet():
    found = together(engine("a"), engine("b", kind="onnx"), engine("c", kind=""))
    assert [name for name, each in found.items() if "interop" in each.edges] == []


def test_torch_and_the_reference_engine_meet():
    engines = all_engines()
    assert all("interop" in engines[name].edges for name in ("torch", "reference"))
