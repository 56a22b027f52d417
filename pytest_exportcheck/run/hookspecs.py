"""Hook specifications: what another plugin or a ``conftest.py`` can add, as plain functions. Each is optional."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import pytest

    from pytest_exportcheck.records import Case, Outcome

hookspec = pluggy.HookspecMarker("exportcheck")


@hookspec
def exportcheck_engines() -> list[Any]:  # type: ignore[empty-body]
    """Engines to check besides ``torch``.

    An engine is any object with a ``name`` and ``export(module, args, kwargs=None, *, dynamic_shapes=None,
    strict=False, pre_dispatch=True)``, and, as far as it can, ``decompose(program)``, ``save(program, file)``,
    ``load(file)`` and ``unflatten(program)``. Engines of one ``format`` (``"pt2"``, as torch's) also load what the others
    save. A method that it lacks leaves the modes out that need it. For what it
    cannot do for one model it raises :class:`pytest_exportcheck.Unsupported`.
    """


@hookspec
def exportcheck_cases(config: pytest.Config) -> list[Case]:  # type: ignore[empty-body]
    """Cases that are found nowhere in the repo: from a model registry, say."""


@hookspec
def exportcheck_edges() -> Mapping[str, Any]:  # type: ignore[empty-body]
    """Further edges, by name: functions from a program to a program, or :class:`pytest_exportcheck.ProgramEdge`.

    Every engine gets them, and the default modes ``nonstrict-NAME``.
    """


@hookspec
def exportcheck_checks() -> list[Any]:  # type: ignore[empty-body]
    """Further checks: functions from :class:`pytest_exportcheck.Evidence` to a list of :class:`pytest_exportcheck.Finding`.

    They run after every stage; a check is called by the function's name, in findings and in expectations.
    """


@hookspec
def exportcheck_outcome(outcome: Outcome) -> None:
    """Called after every item, in the process that ran it."""
