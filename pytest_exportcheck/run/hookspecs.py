"""Hook specifications: the functions by which another plugin or a ``conftest.py`` extends a session. Each is
optional.
"""

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
    """Return engines to check in addition to ``torch``.

    An engine is any object with a ``name`` and ``export(module, args, kwargs=None, *, dynamic_shapes=None,
    strict=False, pre_dispatch=True)``, and, as far as it can, ``decompose(program)``, ``save(program, file)``,
    ``load(file)`` and ``unflatten(program)``. Engines of one ``format`` (``"pt2"``, as torch's) also load what the
    others save. Modes that need a missing method are left out. Where the engine cannot do something for one model, it
    raises :class:`pytest_exportcheck.Unsupported`.

    Returns
    -------
    list
        Engines, each with a name that no other engine has. A session asks once, before it collects.
    """


@hookspec
def exportcheck_cases(config: pytest.Config) -> list[Case]:  # type: ignore[empty-body]
    """Return cases that are not declared in the repo: from a model registry, for example.

    Parameters
    ----------
    config
        The configuration of the pytest session.

    Returns
    -------
    list
        Cases, such as those of :func:`pytest_exportcheck.cases_of`. Their ids begin with ``exportcheck_cases::``.
    """


@hookspec
def exportcheck_edges() -> Mapping[str, Any]:  # type: ignore[empty-body]
    """Return further edges, which every engine gets.

    Returns
    -------
    mapping
        The edge by its name: a function from a program to a program, or a :class:`pytest_exportcheck.ProgramEdge`. The
        default modes then include ``nonstrict-NAME``. A session asks once, before it collects.
    """


@hookspec
def exportcheck_runtimes() -> list[Any]:  # type: ignore[empty-body]
    """Return further runtimes, for which ``--exportcheck-runtime`` compiles programs.

    Returns
    -------
    list
        Objects as :class:`pytest_exportcheck.runtimes.protocol.Runtime` describes, of classes that are made without
        arguments: the child process imports their module, and makes them again. A session asks once, before it
        collects.
    """


@hookspec
def exportcheck_checks() -> list[Any]:  # type: ignore[empty-body]
    """Return further checks, which run after every stage.

    Returns
    -------
    list
        Functions from :class:`pytest_exportcheck.Evidence` to a list of :class:`pytest_exportcheck.Finding`. A check
        has the name of its function, in findings and in expectations. A session asks once, before it collects.
    """


@hookspec
def exportcheck_outcome(outcome: Outcome) -> None:
    """Receive the outcome of every item, in the process that ran it.

    Parameters
    ----------
    outcome
        The outcome of the item, with its findings.
    """
