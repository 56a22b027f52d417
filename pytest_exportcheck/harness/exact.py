"""Runs of eager in float64, which show the rounding that eager has in its own dtype."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch

from pytest_exportcheck.harness._torch import map_state, pytree
from pytest_exportcheck.harness.observation import observe
from pytest_exportcheck.harness.process_state import preserved_globals
from pytest_exportcheck.harness.slots import slots_of
from pytest_exportcheck.harness.snapshot import ModuleSnapshot
from pytest_exportcheck.harness.tensors import has_values, same_bits
from pytest_exportcheck.records import Inputs, Observation, Rounding

Context = Callable[[], AbstractContextManager[Any]]


class Unmeasured(Exception):
    """The reason why eager's own rounding is not known."""


def module_in_double(module: torch.nn.Module) -> torch.nn.Module:
    """Return a deep copy of a module whose floating state is float64, and whose complex state is complex128."""
    made = copy.deepcopy(module)
    widen = _Widening()
    with torch.no_grad():
        map_state(made, widen)
        for slot in slots_of(made):
            if slot.kind == "attribute":
                slot.holder[slot.key] = widen(slot.tensor)
    return made


def inputs_in_double(call: Inputs) -> Inputs:
    """Return the inputs of a call with every floating tensor in float64; a tensor that is passed twice stays one
    tensor.
    """
    args, kwargs = pytree.tree_map_only(torch.Tensor, _Widening(), (call.args, dict(call.kwargs)))
    return Inputs(call.label, args, kwargs, call.sizes)


def observe_in_double(
    module: torch.nn.Module, calls: Sequence[Inputs], *, seed: int, context: Context | None, gradients: bool
) -> tuple[Observation, ...]:
    """Observe the same calls of a module that ``module_in_double`` made: tensors that forward makes are float64 by
    default too.
    """
    widened = [inputs_in_double(call) for call in calls]
    with preserved_globals():
        torch.set_default_dtype(torch.float64)
        snapshot = ModuleSnapshot(module)
        return observe(module, widened, snapshot=snapshot, seed=seed, context=context, gradients=gradients)


def rounding_of(eager: Observation, exact: Observation) -> Rounding:
    """Return the distance of eager from eager in float64, in one call.

    Raises
    ------
    Unmeasured
        When the two runs did different things, so that their distance is not rounding.
    """
    if exact.raised:
        raise Unmeasured(f"eager in float64 raises {exact.raised.type}")
    if eager.structure != exact.structure or eager.generator != exact.generator:
        raise Unmeasured("eager in float64 takes another path")
    outputs = [(one.place, one.value, other.value) for one, other in zip(eager.outputs, exact.outputs, strict=True)]
    changed = [*_both("input", eager.inputs, exact.inputs), *_both("state", eager.state, exact.state)]
    for place, one, other in [*outputs, *changed]:
        if _is_decision(one) and not (isinstance(other, torch.Tensor) and same_bits(one, other)):
            raise Unmeasured(f"eager in float64 takes another branch: {place}")
    gradients = _both("", _gradients(eager), _gradients(exact))
    return Rounding(
        values=dict(_distances([*outputs, *changed])),
        gradients=dict(_distances(gradients)),
        scale=_largest([value for _, value, _ in outputs]),
        gradient_scale=_largest([one for _, one, _ in gradients]),
        exact_gradients={place: _largest([other]) for place, _, other in gradients if other is not None},
    )


def _gradients(observation: Observation) -> Mapping[str, Any]:
    return observation.gradients.values if observation.gradients else {}


def _both(what: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    return [(f"{what} {name}".strip(), value, other[name]) for name, value in one.items() if name in other]


def _is_decision(value: Any) -> bool:
    """Return whether a value is a decision: integers and truth values do not round, and change only when a decision
    changes.
    """
    return isinstance(value, torch.Tensor) and not (
        value.is_floating_point() or value.is_complex() or value.is_quantized
    )


def _distances(pairs: Sequence[tuple[str, Any, Any]]) -> Iterator[tuple[str, float]]:
    for place, one, other in pairs:
        size = _distance(one, other) if _is_dense(one) and _is_dense(other) else None
        if size is not None:
            yield place, size


def _distance(one: torch.Tensor, exact: torch.Tensor) -> float | None:
    """Return the largest distance between two tensors, the second in double precision; None where it means nothing."""
    if exact.dtype not in (torch.float64, torch.complex128) or one.shape != exact.shape:
        return None
    left, right = _parts(one), _parts(exact)
    finite = left.isfinite()
    if not torch.equal(finite, right.isfinite()):
        return None
    return float((left[finite] - right[finite]).abs().max()) if bool(finite.any()) else 0.0


def _largest(values: Sequence[Any]) -> float:
    largest = [float(_parts(value).nan_to_num(0.0, 0.0, 0.0).abs().max()) for value in values if _is_measurable(value)]
    return max(filter(math.isfinite, largest), default=0.0)


def _is_measurable(value: Any) -> bool:
    return _is_dense(value) and value.numel() > 0


def _is_dense(value: Any) -> bool:
    """Return True if a value is a plain floating tensor, of which distances can be computed."""
    return (
        type(value) in (torch.Tensor, torch.nn.Parameter)
        and (value.is_floating_point() or value.is_complex())
        and value.layout is torch.strided
        and not value.is_nested
        and has_values(value)
    )


def _parts(tensor: torch.Tensor) -> torch.Tensor:
    tensor = tensor.detach()
    return torch.view_as_real(tensor.resolve_conj().to(torch.complex128)) if tensor.is_complex() else tensor.double()


class _Widening:
    """A converter of tensors to double precision, each once: a tensor that is given twice stays one. It keeps the
    originals, because it recognises them by id.
    """

    def __init__(self) -> None:
        self._made: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def __call__(self, tensor: torch.Tensor) -> torch.Tensor:
        dtype = torch.complex128 if tensor.is_complex() else torch.float64
        if not (tensor.is_floating_point() or tensor.is_complex()) or tensor.dtype == dtype:
            return tensor
        if id(tensor) not in self._made:
            self._made[id(tensor)] = tensor, tensor.detach().to(dtype).requires_grad_(tensor.requires_grad)
        return self._made[id(tensor)][1]
