"""Dynamic shapes by position, from any form that the user gave."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any


def specs_by_position(
    module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], shapes: Any
) -> tuple[Any, ...] | None:
    """Return one spec for each of ``args``, then for each of ``kwargs``; None where none are given, or where they go by
    tensors (``ShapesCollection``) or further inputs (``AdditionalInputs``) instead of arguments.

    A callable that an edge makes may lack the names of the user's specs. A spec of another form than its parameter
    takes is ignored: torch refuses it.
    """
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
