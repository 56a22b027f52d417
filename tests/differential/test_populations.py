"""The reference engine over exportdb and the corpus."""

from __future__ import annotations

import contextlib
import copy
from pathlib import Path

import pytest

from pytest_exportcheck import reference
from pytest_exportcheck.harness.isolation import quiet
from pytest_exportcheck.harness.process_state import changed_globals, generator_digest, global_modes
from pytest_exportcheck.harness.setup import set_up
from pytest_exportcheck.harness.snapshot import ModuleSnapshot
from pytest_exportcheck.harness.tensors import copy_tree
from pytest_exportcheck.sources import cases_from
from tests.differential.populations import corpus, declared
from tests.differential.populations_some import SOUND, assert_sound, some
from tests.differential.roundtrips import difference_of

#: A model whose gradients torch's capture by Dynamo drops.
GRADIENTS_LOST = ("autograd_function",)
CASES = Path(__file__).parents[2] / "cases"


@pytest.mark.parametrize("make", some(declared("exportdb:*")))
def test_exportdb(make):
    assert_sound(make)


@pytest.mark.parametrize("make", some(corpus(), every=4))
def test_corpus(make):
    assert_sound(make)


@pytest.mark.parametrize(
    "make", [*some(declared("exportdb:*"), every=6, without=GRADIENTS_LOST), *some(corpus(), every=8)]
)
def test_captures_by_dynamo(make):
    assert_sound(make, strict=True)


def every_case():
    """Those that are to be refused too."""
    for spec in ("exportdb:*", *(f"import:cases.{path.stem}:*" for path in sorted(CASES.glob("case_*.py")))):
        yield from cases_from(spec).cases.items()


@pytest.mark.parametrize(
    ("case", "strict"),
    [
        pytest.param(case, strict, id=f"{name}{'-strict' * strict}")
        for name, case in every_case()
        for strict in (False, True)
    ][:: 1 if SOUND else 3],
)
def test_the_module_the_generators_and_the_modes_are_as_before(case, strict):
    subject = set_up(case, 0)
    module = copy.deepcopy(subject.module)
    args, kwargs = copy_tree((subject.example.args, dict(subject.example.kwargs)))
    given, named = copy_tree((args, kwargs))
    snapshot, held = ModuleSnapshot(module), {path: dict(vars(part)) for path, part in module.named_modules()}
    modes, generators = global_modes(), generator_digest()
    with quiet(), contextlib.suppress(Exception):  # refusals are tested elsewhere
        reference.export(module, args, kwargs, dynamic_shapes=subject.dynamic_shapes, strict=strict)
    assert changed_globals(modes) == {}
    assert generator_digest() == generators
    assert snapshot.changed() == {} == snapshot.changed_flags()
    assert {path: dict(vars(part)) for path, part in module.named_modules()} == held
    assert difference_of((args, kwargs), (given, named)) == ""
