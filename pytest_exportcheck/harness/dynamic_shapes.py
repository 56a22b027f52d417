"""Dynamic shapes by position, from any form that the user gave."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from pytest_exportcheck.harness._torch import (
    attached_specification,
    is_specification,
    parameters_of_specification,
    specification_of,
)


def effective_shapes(module: Any, shapes: Any) -> Any:
    """Return the dynamic shapes that a capture of the module uses: those given, or those attached to its forward."""
    return attached_specification(module) if shapes is None else shapes


def specs_by_position(
    module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], shapes: Any
) -> tuple[Any, ...] | None:
    """Return one spec for each of ``args``, then for each of ``kwargs``; None where none are given, or where they go by
    tensors (``ShapesCollection``) or further inputs (``AdditionalInputs``) instead of arguments.

    A callable that an edge makes may lack the names of the user's specs. A spec of another form than its parameter
    takes is ignored: torch refuses it.
    """
    if is_specification(shapes):
        return _specified_by_position(module, args, kwargs, shapes)
    if not isinstance(shapes, (tuple, list, Mapping)):
        return None
    bound = inspect.signature(module.forward).bind(*args, **kwargs)
    if not isinstance(shapes, Mapping):  # one for each parameter that is given something
        shapes = dict(zip(bound.arguments, shapes, strict=False))
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        kind, spec = bound.signature.parameters[name].kind, shapes.get(name)
        if kind is inspect.Parameter.VAR_POSITIONAL:
            positional += spec if isinstance(spec, (tuple, list)) and spec else [None] * len(value)
        elif kind is inspect.Parameter.VAR_KEYWORD:
            given = spec if isinstance(spec, Mapping) and spec else shapes
            named.update({key: given.get(key) for key in value})
        elif name in kwargs:
            named[name] = spec
        else:
            positional.append(spec)
    return (*positional, *(named[name] for name in kwargs))


def _specified_by_position(
    module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], shapes: Any
) -> tuple[Any, ...]:
    named, rest, others = parameters_of_specification(shapes)
    names = _positional(module)
    specs = [*(named.get(name) for name in names[: len(args)]), *rest]
    specs += [None] * len(args)
    return (*specs[: len(args)], *(named.get(name, others.get(name)) for name in kwargs))


def specification_for(run: Any, specs: tuple[Any, ...], kwargs: Mapping[str, Any], shapes: Any) -> Any:
    """Return a specification in the names of the parameters of another callable; ``specs`` go by position."""
    names, count = _positional(run), len(specs) - len(kwargs)
    known = inspect.signature(run.forward).parameters
    positional, by_name = specs[:count], dict(zip(kwargs, specs[count:], strict=True))
    params: dict[str, Any] = dict(zip(names, positional, strict=False))
    if count > len(names):
        params["*args"] = list(positional[len(names) :])
    params |= {name: spec for name, spec in by_name.items() if name in known}
    others = {name: spec for name, spec in by_name.items() if name not in known}
    params |= {"**kwargs": others} if others else {}
    return specification_of(params, getattr(shapes, "assumptions", ()))


def _positional(module: Any) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [name for name, each in inspect.signature(module.forward).parameters.items() if each.kind in kinds]
