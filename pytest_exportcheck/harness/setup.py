"""The setup of a case: builds the module and its inputs, and protects the user's own module."""

from __future__ import annotations

import ast
import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import FunctionType
from typing import Any

import torch

from pytest_exportcheck.errors import CaseError
from pytest_exportcheck.harness._torch import (
    attached_specification,
    forward_hooks,
    is_specification,
    pytree,
    refusal_of_specification,
    takes_specifications,
)
from pytest_exportcheck.harness.isolation import quiet, raised_from
from pytest_exportcheck.harness.process_state import preserved_globals, seed_everything
from pytest_exportcheck.harness.slots import slots_of
from pytest_exportcheck.harness.snapshot import ModuleSnapshot
from pytest_exportcheck.harness.tensors import as_plain, has_values
from pytest_exportcheck.harness.tensors.layouts import can_be_laid_out, fill, laid_out_like
from pytest_exportcheck.records import Case, Inputs, Rejection

EXAMPLE, FRESH = "the example inputs", "fresh inputs"


@dataclass(frozen=True, eq=False)
class PreparedCase:
    """A case that is ready to be captured and run.

    ``module`` is a deep copy of what the factory built, where the module allows one (``copied``); then the user's own
    module is never touched, and the weights exist twice in all. ``redraw(seed)`` gives further inputs like the example,
    from callables where the case has some; ``made(sizes)`` is the case's own way to make inputs of other sizes.
    ``samples`` are the named inputs of the case.
    """

    module: torch.nn.Module
    copied: bool
    pristine: Mapping[str, torch.Tensor]
    example: Inputs
    fresh: Inputs
    dynamic_shapes: Any
    rejected: tuple[tuple[Rejection, Inputs], ...] = ()
    samples: tuple[Inputs, ...] = ()
    redraw: Callable[[int], Inputs] = field(kw_only=True)
    made: Callable[[Mapping[str, int]], Inputs] | None = None

    def fresh_module(self) -> torch.nn.Module:
        """Return a module with separate attributes and the weights of ``module``."""
        return _copy_structure(self.module) if self.copied else self.module


def set_up(case: Case, seed: int) -> PreparedCase:
    """Build the module and the inputs of a case.

    Raises
    ------
    CaseError
        When the factory, the inputs or the dynamic shapes are at fault: which of them, and what to do.
    """
    with preserved_globals(), quiet():
        seed_everything(seed)
        module, given = _build(case)
        if case.device is not None:
            _put(case, f"device={case.device!r}", partial(module.to, case.device))
        _check_initialised(case, module)
        example = _inputs(case, given, EXAMPLE, seed)
        fresh = _fresh(case, given, example, seed + 1)
        shapes = _value(case, "dynamic_shapes", case.dynamic_shapes)
        if isinstance(shapes, torch.export.ShapesCollection):  # goes by identity, and captures are given copies
            shapes = _by_argument(case, module, shapes, example)
        if not case.rejected_at("capture"):  # the engine is to refuse them
            _check_shapes(case, module, shapes, example)
        working = _deep_copy(module)
        if case.train is not None:  # a factory may return a module that others use too
            _put(case, f"train={case.train}", partial((module if working is None else working).train, case.train))
        pristine = _values(module) if working is not None else ModuleSnapshot(module).values
        samples = tuple(_sample(case, name, value, seed) for name, value in case.samples.items())
        rejected = tuple((each, _rejected_call(case, each, seed)) for each in case.rejected_at("call"))
    return PreparedCase(
        module=module if working is None else working,
        copied=working is not None,
        pristine=pristine,
        example=example,
        fresh=fresh,
        dynamic_shapes=shapes,
        rejected=rejected,
        samples=samples,
        redraw=partial(_redrawn, case, given, example),
        made=partial(_made, case, seed) if case.inputs is not None else None,
    )


def _values(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {slot.name: slot.tensor for slot in slots_of(module)}


def _build(case: Case) -> tuple[torch.nn.Module, tuple[Any, ...]]:
    """Return the module, and the further values that the factory returned."""
    try:
        built = case.build()
    except (Exception, SystemExit) as error:
        raise CaseError(f"case {case.name!r} ({case.origin}): its factory raised {raised_from(error)}") from error
    module, *given = built if isinstance(built, tuple) and built else (built,)
    if isinstance(module, torch.nn.Module) and len(given) <= 2:
        return module, tuple(given)
    raise CaseError(
        f"case {case.name!r} ({case.origin}): its factory must return an nn.Module, or (module, args[, kwargs]), "
        f"got {_described(built)}."
    )


def _described(value: object) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(type(each).__name__ for each in value)})"
    return f"{type(value).__name__} {value!r}" if not isinstance(value, type) else f"the class {value.__name__}"


def _put(case: Case, what: str, act: Callable[[], object]) -> None:
    try:
        act()
    except (Exception, SystemExit) as error:
        raise CaseError(
            f"case {case.name!r} ({case.origin}): the module cannot be put into {what}: {raised_from(error)}"
        ) from error


def _check_initialised(case: Case, module: torch.nn.Module) -> None:
    lazy = [name for name, tensor in module.named_parameters() if torch.nn.parameter.is_lazy(tensor)]
    if lazy:
        raise CaseError(
            f"case {case.name!r} ({case.origin}): {', '.join(lazy)} of {type(module).__name__} is not initialised. "
            "Call a lazy module once in a factory before returning it."
        )


def _inputs(case: Case, given: tuple[Any, ...], label: str, seed: int) -> Inputs:
    seed_everything(seed)
    args = _value(case, "args", case.args if case.args is not None else (given[0] if given else ()))
    kwargs = _value(case, "kwargs", case.kwargs if case.kwargs is not None else (given[1] if len(given) > 1 else {}))
    if not isinstance(args, tuple):
        raise CaseError(
            f"case {case.name!r} ({case.origin}): args must be a tuple of positional arguments, "
            f"got {type(args).__name__}. For one argument write (x,)."
        )
    if not isinstance(kwargs, Mapping) or not all(isinstance(key, str) for key in kwargs):
        raise CaseError(
            f"case {case.name!r} ({case.origin}): kwargs must map argument names to values, got {type(kwargs).__name__}."
        )
    args, kwargs = _moved((args, dict(kwargs)), case.device)
    return Inputs(label, args, kwargs)


def _redrawn(case: Case, given: tuple[Any, ...], example: Inputs, seed: int) -> Inputs:
    if not (callable(case.args) or callable(case.kwargs)):
        return example
    with preserved_globals(), quiet():
        return _inputs(case, given, FRESH, seed)


def _made(case: Case, seed: int, sizes: Mapping[str, int]) -> Inputs:
    """Return the inputs that the case's ``inputs`` callable makes for these sizes, from the same generators every
    time.
    """
    named = {name: size for name, size in sizes.items() if name.isidentifier()}
    with preserved_globals(), quiet():
        seed_everything(seed)
        made: Any = _value(case, "inputs", partial(case.inputs, **named)) if case.inputs is not None else ()
        return _call_of(case, "its inputs callable", made, "inputs of other sizes", seed)


def sample_label(name: str) -> str:
    """Return the name of a call with named inputs, in messages."""
    return f"{_SAMPLE}{name!r}"


def sample_name(label: str) -> str:
    """Return the name of the inputs of such a call; empty for another call."""
    return str(ast.literal_eval(label.removeprefix(_SAMPLE))) if label.startswith(_SAMPLE) else ""


_SAMPLE = "sample "


def _sample(case: Case, name: str, value: Any, seed: int) -> Inputs:
    """Return the named inputs, which a callable makes only now."""
    seed_everything(seed)
    return _call_of(case, f"sample {name!r}", _value(case, sample_label(name), value), sample_label(name), seed)


def _call_of(case: Case, what: str, made: Any, label: str, seed: int) -> Inputs:
    """Return the call of a tuple of positional arguments, a dict of keyword arguments, or a tuple of both."""
    if not isinstance(made, (tuple, dict)):
        raise CaseError(
            f"case {case.name!r} ({case.origin}): {what} must return a tuple of positional arguments, a dict of keyword "
            f"arguments, or a tuple of both, got {type(made).__name__}. For one argument write (x,)."
        )
    if isinstance(made, dict):
        made = ((), made)
    both = len(made) == 2 and isinstance(made[0], tuple) and isinstance(made[1], dict)
    args, kwargs = made if both else (made, {})
    return _inputs(replace(case, args=args, kwargs=kwargs), (), label, seed)


def _rejected_call(case: Case, rejection: Rejection, seed: int) -> Inputs:
    """Return the inputs that every program of the case must refuse."""
    given = replace(case, args=rejection.args or (), kwargs=rejection.kwargs or {}, origin=rejection.origin)
    return _inputs(given, (), "inputs that must be refused", seed)


def _value(case: Case, what: str, value: Any) -> Any:
    """Return a value as given, or the result of the callable."""
    if not callable(value):
        return value
    try:
        return value()
    except (Exception, SystemExit) as error:
        raise CaseError(
            f"case {case.name!r} ({case.origin}): its {what} callable raised {raised_from(error)}"
        ) from error


def _moved(tree: Any, device: str | None) -> Any:
    if device is None:
        return tree
    return pytree.tree_map_only(torch.Tensor, lambda tensor: tensor.to(device), tree)


def _fresh(case: Case, given: tuple[Any, ...], example: Inputs, seed: int) -> Inputs:
    """Return other inputs: callables are called again, the elements of plain tensors permuted."""
    drawn = _inputs(case, given, FRESH, seed)
    args = drawn.args if callable(case.args) else _permuted(example.args)
    kwargs = drawn.kwargs if callable(case.kwargs) else _permuted(dict(example.kwargs))
    return Inputs(FRESH, args, kwargs)


def _permuted(tree: Any) -> Any:
    """Return the tree with every tensor permuted separately, so that a tensor that was passed twice becomes two."""
    return pytree.tree_map_only(torch.Tensor, _permute, tree)


@as_plain
def _permute(tensor: torch.Tensor) -> torch.Tensor:
    if not has_values(tensor) or not can_be_laid_out(tensor):
        return tensor
    with torch.no_grad():
        plain = tensor.detach().as_subclass(torch.Tensor)
        order = torch.randperm(plain.numel(), device=plain.device)
        permuted = laid_out_like(plain, plain.shape)
        fill(permuted, plain.reshape(-1)[order].reshape(plain.shape))
    return permuted.requires_grad_(tensor.requires_grad)


def _by_argument(case: Case, module: torch.nn.Module, shapes: torch.export.ShapesCollection, example: Inputs) -> Any:
    try:
        return shapes.dynamic_shapes(module, example.args, dict(example.kwargs))  # type: ignore[no-untyped-call]
    except Exception as error:
        raise CaseError(
            f"case {case.name!r} ({case.origin}): its ShapesCollection does not fit its inputs: {raised_from(error)}. "
            "It belongs to the tensors that it was made for: pass args and kwargs as values, not as callables."
        ) from error


def _check_shapes(case: Case, module: torch.nn.Module, shapes: Any, example: Inputs) -> None:
    """Check that dynamic shapes by name name arguments; torch's own message comes late and per mode."""
    where = f"case {case.name!r} ({case.origin})"
    attached = attached_specification(module)
    if attached is not None and shapes is not None:
        raise CaseError(f"{where}: forward has a @dynamic_spec, and the case gives dynamic_shapes too. Leave one out.")
    shapes = attached if shapes is None else shapes
    if is_specification(shapes):
        if not takes_specifications():
            raise CaseError(
                f"{where}: dynamic_shapes is a {type(shapes).__name__}, which torch.export takes since torch 2.14, and this is "
                f"torch {torch.__version__}. Declare the dims with torch.export.Dim, or upgrade torch."
            )
        refusal = refusal_of_specification(module, example.args, example.kwargs, shapes)
        if refusal:
            raise CaseError(f"{where}: dynamic_shapes does not fit the inputs: {refusal}")
        return
    if not isinstance(shapes, dict):
        return
    try:
        parameters = inspect.signature(module.forward).parameters
    except (TypeError, ValueError):  # a compiled forward does not describe its arguments
        return
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    known = [*parameters, *example.kwargs]
    unknown = [name for name in shapes if name not in known]
    if unknown:
        arguments = ", ".join(dict.fromkeys(known)) or "none"
        raise CaseError(
            f"case {case.name!r} ({case.origin}): dynamic_shapes names {', '.join(map(repr, unknown))}, which "
            f"{type(module).__name__}.forward does not take. Its arguments: {arguments}."
        )


def _deep_copy(module: torch.nn.Module) -> torch.nn.Module | None:
    """Return a copy that shares nothing with the module; None where none can be made."""
    if any(_closes_over_module(value) for owner in module.modules() for value in _functions(owner)):
        return None
    if any(map(_is_lazily_flipped, (*module.parameters(), *module.buffers()))):
        return None  # deepcopy would resolve them, and hide what a file makes of such a view
    try:
        return copy.deepcopy(module)
    except (Exception, SystemExit):  # the module reports in its own words that it cannot be copied
        return None


@as_plain
def _is_lazily_flipped(tensor: torch.Tensor) -> bool:
    """Return True if a tensor is a conjugate or negative view that no operation has carried out yet."""
    return tensor.is_conj() or tensor.is_neg()


def _functions(owner: torch.nn.Module) -> list[Callable[..., Any]]:
    """Return functions that an instance holds, hooks included: deepcopy does not copy the variables that they close
    over.
    """
    return [value for value in (*vars(owner).values(), *forward_hooks(owner)) if isinstance(value, FunctionType)]


def _closes_over_module(function: Any) -> bool:
    cells = [cell for cell in function.__closure__ or () if _filled(cell)]
    return any(isinstance(cell.cell_contents, (torch.nn.Module, torch.Tensor)) for cell in cells)


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # an empty cell
        return False


def _copy_structure(module: torch.nn.Module) -> torch.nn.Module:
    """Return a copy whose parameters and buffers are the same tensors."""
    shared = [*module.parameters(), *module.buffers()]
    memo: dict[int, Any] = {id(tensor): tensor for tensor in shared}
    return copy.deepcopy(module, memo)
