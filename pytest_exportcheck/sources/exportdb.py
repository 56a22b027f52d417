"""``exportdb:NAME``: the examples of torch's ExportDB with their own inputs and dynamic shapes."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import torch

from pytest_exportcheck.errors import SelectionError
from pytest_exportcheck.harness._torch import EXPORTDB_MODULE
from pytest_exportcheck.records import Case, Origin
from pytest_exportcheck.sources.optional import needed
from pytest_exportcheck.sources.spec import Found, Spec, found, matching

#: No options: the examples have their own inputs and dynamic shapes.
OPTIONS: dict[str, str] = {}


def cases(spec: Spec) -> Found:
    """Return a case for every example that torch supports and whose name matches the glob.

    Raises
    ------
    SelectionError
        When expecttest (which the examples import) is not installed, nothing matches, or torch does not support the one
        example named.
    """
    examples = _examples()
    names = matching(spec, examples, what="example", see="torch._export.db.examples.all_examples()")
    supported = [name for name in names if examples[name].support_level.name == "SUPPORTED"]
    if not supported:
        raise SelectionError(
            f"{spec}: torch does not support this example yet, so there is no program to check. "
            "Name another, or exportdb:* for all that it supports."
        )
    made = {name: _case(name, examples[name]) for name in supported}
    return found(spec, names, made, "which torch does not support yet")


def _examples() -> dict[str, Any]:
    needed("exportdb", "expecttest")
    # The examples draw their inputs where they are imported: alike in every run.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        examples: dict[str, Any] = needed("exportdb", "torch", EXPORTDB_MODULE).all_examples()
    return examples


def _case(name: str, example: Any) -> Case:
    return Case(
        name=name,
        build=partial(_built, example),
        origin=Origin("exportdb", inspect.getsourcefile(type(example.model)) or "exportdb", 0),
        dynamic_shapes=example.dynamic_shapes,
    )


def _built(example: Any) -> tuple[Any, ...]:
    return (example.model, example.example_args, example.example_kwargs)
