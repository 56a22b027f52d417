"""Specifications of dynamic shapes: ``ShapesSpec`` and ``ParamsSpec``, and how torch binds them to the sizes of a call."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch.fx.experimental import dynamic_spec as _spec
from torch.fx.experimental import symbolic_shapes as _symbolic_shapes

try:
    from torch.fx.experimental import _spec_binding as _binding
except ImportError:  # before 2.14
    _binding = None  # type: ignore[assignment]

# What torch.export takes as a whole specification; 2.13 has the classes for torch.compile only (2.13).
SPECIFICATIONS = (_spec.ShapesSpec, _spec.ParamsSpec)

# The parts of a specification: they have no meaning for torch.export outside of one (2.13).
PARTS = (_spec.TensorSpec, _spec.IntVar, _spec.ObjectSpec, _spec.DictSpec, _spec.SeqSpec)

# True if torch.export takes specifications (2.14).
TAKEN = _binding is not None


def resolved(module: torch.nn.Module, dynamic_shapes: Any) -> Any:
    """Return the dynamic shapes of a call, or those that ``@dynamic_spec`` attached to forward, under torch's private
    name; 2.13 has no such decorator (2.14).
    """
    resolve = getattr(_spec, "_resolve_dynamic_shapes", None)
    return dynamic_shapes if resolve is None else resolve(module, dynamic_shapes)


def bound(module: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], shapes: Any) -> list[Any]:
    """Return the specification of each leaf of a call, and None for a static leaf: the forms are torch's, and so are
    the words of the refusals (2.14).
    """
    return _binding._bind_spec_to_args(module, args, dict(kwargs), shapes)[0]


def whole(dynamic_shapes: Any) -> Any:
    """Return a ``ShapesSpec``, also from a ``ParamsSpec`` (2.14)."""
    return _spec._coerce_to_shapes_spec(dynamic_shapes)


def for_call(module: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], shapes: Any) -> Any:
    """Return a specification in the names of ``call(module, args, kwargs)``; its parts have no public access (2.14)."""
    params = shapes._params or _spec.ParamsSpec()
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(module.forward).parameters.items()
    names = [name for name, each in parameters if each.kind in kinds][: len(args)]
    others = params._varkw or {}
    positional = [*(params._named_args.get(name) for name in names), *(params._varargs or [])][: len(args)]
    by_name: dict[str | int, Any] = {name: params._named_args.get(name, others.get(name)) for name in kwargs}
    return _spec.ShapesSpec(
        {"args": _spec.SeqSpec(positional), "kwargs": _spec.DictSpec(by_name)}, assumptions=shapes.assumptions
    )


def tensor_context(value: torch.Tensor, source: Any, spec: Any) -> Any:
    """Return how each size of a tensor is symbolic by its specification (2.14)."""
    return _symbolic_shapes._symbolic_context_from_shapes_spec(value, source, spec, None, {})


def assume(env: Any, shapes: Any) -> None:
    """Note the assumptions of a specification; they are asserted as soon as their variables are known (2.14)."""
    _symbolic_shapes._wire_spec_assumptions(env, shapes)


def tie(spec: Any, size: Any) -> None:
    """Bind a new symbol to its variable, or to the expression of variables that it must be equal to (2.14)."""
    _symbolic_shapes._wire_spec_slot(spec, size)


def finish(env: Any) -> None:
    """Raise ValueError if an assumption or a derived size depends on a variable that no input has (2.14)."""
    _symbolic_shapes._finalize_spec_wiring(env)
