"""Strategies for a user's own ``@given`` tests: sizes that a program or dynamic shapes declare, and inputs that have
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from inspect import Parameter, Signature
from typing import Any

import torch
from hypothesis import reject
from hypothesis import strategies as st

from pytest_exportcheck.describe import declared_dims, dims_in
from pytest_exportcheck.errors import DeclarationError
from pytest_exportcheck.fuzz.captured import captured_facts
from pytest_exportcheck.fuzz.perturbations import variations_of, varied
from pytest_exportcheck.fuzz.setup import Ground, described
from pytest_exportcheck.fuzz.size_budget import UNBOUNDED, Limits
from pytest_exportcheck.fuzz.size_facts import Facts, declared_facts
from pytest_exportcheck.fuzz.solver import Domain, solve
from pytest_exportcheck.harness._torch import is_specification
from pytest_exportcheck.options import ALSO
from pytest_exportcheck.records import Inputs


def sizes_of(source: object, *, largest: int = UNBOUNDED) -> st.SearchStrategy[dict[str, int]]:
    """Return a strategy for declared sizes, by the names of their dims.

    Parameters
    ----------
    source
        Dynamic shapes as for ``torch.export.export``: the names are those of its ``Dim``s, and hints such as
        ``Dim.AUTO`` declare nothing. Or an ``ExportedProgram``: sizes that its ranges and guards admit, by names such
        as ``args[0].size(0)``.
    largest
        The largest size where there is no upper bound.

    Raises
    ------
    DeclarationError
        When no size meets the declarations of the source, or the source is something else.
    """
    _check_source(source)
    if isinstance(source, torch.export.ExportedProgram):
        facts = captured_facts(source)
    else:
        facts = declared_facts(dims_in(source))
        facts = Facts(
            {name: facts.roots[name] for name in facts.promised}, facts.dims, facts.conditions, facts.promised
        )
    domain = _solved(facts)
    axes = tuple(axis if axis.last is not None else axis.up_to(max(largest, axis.first)) for axis in domain.axes)
    return _sizes(Domain(axes, domain.follows, domain.filters))


def inputs_for(
    source: object,
    args: tuple[Any, ...] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    module: torch.nn.Module | None = None,
    also: tuple[str, ...] = (),
    seed: int = 0,
) -> st.SearchStrategy[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Return a strategy for arguments of declared sizes: ``(args, kwargs)``, made of example arguments.

    Parameters
    ----------
    source
        Dynamic shapes, or an ``ExportedProgram``.
    args, kwargs
        The example arguments; by default the program's own. Elements are drawn from those of the example; dtype,
        device, ``requires_grad``, and the order of dims in memory are kept.
    module
        The module whose ``forward`` takes the arguments, where dynamic shapes go by the names of parameters that are
        passed by position.
    also
        Further groups to draw: ``layout``, ``special``. (``dtype`` and ``rank`` change what is never declared.)
    seed
        The seed of the values.

    Raises
    ------
    DeclarationError
        When there are no example arguments, no size meets the declarations of the source, its dims are not those of the
        arguments, or ``also`` names something unknown.
    """
    _check_source(source)
    unknown = sorted(set(also) - set(ALSO))
    if unknown:
        raise DeclarationError(f"also takes {', '.join(ALSO)}, got {', '.join(unknown)}.")
    example = _example(source, args, kwargs)
    if isinstance(source, torch.export.ExportedProgram):
        facts = captured_facts(source)
    else:
        facts = declared_facts(declared_dims(module or _Unnamed(example), example, source))
        if not facts.roots and declared_facts(dims_in(source)).roots:
            raise DeclarationError(
                "none of the dynamic dims belongs to these arguments. If the dynamic shapes use the names of parameters, "
                "pass module=."
            )
    ground = Ground(facts, example, redraw=lambda _: example, seed=seed)
    limits = Limits(facts, example, ground.usual(facts))
    variations = variations_of(example, frozenset(also))
    sizes = _sizes(limits.capped(_solved(facts)), limits)

    @st.composite
    def inputs(draw: st.DrawFn) -> tuple[tuple[Any, ...], dict[str, Any]]:
        call = ground.inputs(facts, draw(sizes), draw)
        number = draw(st.integers(0, len(variations))) if variations else 0
        call = varied(call, *variations[number - 1]) if number else call
        return call.args, dict(call.kwargs)

    return inputs()


def _check_source(source: object) -> None:
    known = (Mapping, list, tuple, torch.export.ExportedProgram)
    if source is not None and not isinstance(source, known) and not is_specification(source):
        raise DeclarationError(
            f"the first argument must be an ExportedProgram, or dynamic shapes as a dict, a tuple or a list, got {source!r}."
        )


class _Unnamed:
    """A placeholder for a module of which only the arguments are known: dynamic shapes go by position, and by
    keyword.
    """

    def __init__(self, call: Inputs) -> None:
        def forward(*_: Any, **__: Any) -> None: ...

        by_position = [Parameter(f"argument_{number}", Parameter.POSITIONAL_ONLY) for number, _ in enumerate(call.args)]
        by_name = [Parameter(name, Parameter.KEYWORD_ONLY) for name in call.kwargs]
        forward.__signature__ = Signature([*by_position, *by_name])  # type: ignore[attr-defined]
        self.forward = forward


def _example(source: object, args: tuple[Any, ...] | None, kwargs: Mapping[str, Any] | None) -> Inputs:
    if args is None and kwargs is None:
        given = source.example_inputs if isinstance(source, torch.export.ExportedProgram) else None
        if given is None:
            raise DeclarationError("inputs_for needs example arguments: pass args= and kwargs=.")
        args, kwargs = given
    return Inputs("the example inputs", args or (), kwargs or {})


def _solved(facts: Facts) -> Domain:
    domain = solve(facts)
    if domain.empty:
        raise DeclarationError(f"no size satisfies {described(facts) or 'the declaration'}: {domain.empty}.")
    return domain


@st.composite
def _sizes(draw: st.DrawFn, domain: Domain, limits: Limits | None = None) -> dict[str, int]:
    sizes = domain.complete(domain.choose(lambda low, high: draw(st.integers(low, high))))
    if sizes is None or (limits is not None and not limits.allow(sizes)):
        reject()
    return sizes
