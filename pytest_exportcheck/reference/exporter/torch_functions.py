"""Functions of torch that the model calls, where Python or torch would make a plain number of a symbol."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from pytest_exportcheck.reference._torch.tracing import tensor_of_symbols
from pytest_exportcheck.reference._torch.values import is_functorch_tensor, pytree
from pytest_exportcheck.reference.exporter.errors import NotTraceable

_SYMBOLIC = (torch.SymInt, torch.SymFloat, torch.SymBool)


#: A seed that no model has.
_UNLIKELY = 0x5EED_0F_0DD


@contextmanager
def watched_functions() -> Iterator[None]:
    """Watch the functions of torch that the model calls. Restore torch's generator, and refuse a model that seeds the
    generator, which is seen at its next call: also where it restores the state, as ``torch.random.fork_rng`` does.
    """
    generator = torch.default_generator
    before = generator.get_state()
    generator.manual_seed(_UNLIKELY)
    try:
        with _WatchedFunctions():
            yield
        _refuse_seeded()
    finally:
        generator.set_state(before)


class _WatchedFunctions(TorchFunctionMode):
    """The mode that sees each call of a function."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.compiler.is_dynamo_compiling():  # it traces branches, through this too
            return func(*args, **kwargs)
        _refuse_seeded()
        if func is torch.Tensor.__getitem__:
            return _item(*args)
        if func is torch.tensor and any(isinstance(each, _SYMBOLIC) for each in pytree.tree_leaves(args)):
            func = tensor_of_symbols
        return func(*args, **kwargs)


def _refuse_seeded() -> None:
    if torch.default_generator.initial_seed() != _UNLIKELY:
        raise NotTraceable(
            "the model seeds torch's generator (torch.manual_seed), which an exported program cannot represent: its random numbers would differ. "
            "Seed it outside the model, or pass the random tensors as inputs."
        )


def _item(tensor: torch.Tensor, index: Any) -> Any:
    """Return a part of a tensor. If a part of the index is a symbol or a tensor of one integer, each dimension gets an
    operator: Python's own indexing requests such values.
    """
    parts = list(index) if isinstance(index, tuple) else [index]
    ends = [end for each in parts for end in (_ends(each) if isinstance(each, slice) else (each,))]
    plain = all(
        part is None or part is ... or isinstance(part, (int, torch.SymInt, slice)) or _is_number(part)
        for part in parts
    )
    if not plain or not any(isinstance(end, torch.SymInt) or _is_number(end) for end in ends):
        return torch.Tensor.__getitem__(tensor, index)
    dimension = 0
    for part in _without_ellipsis(parts, tensor.dim()):
        if part is None:
            tensor = tensor.unsqueeze(dimension)
        elif not isinstance(part, slice):
            tensor = torch.select(tensor, dimension, _number(part))
            continue
        elif part not in (slice(None), slice(None, None, 1)):
            start, stop, step = (_number(end) for end in _ends(part))
            tensor = torch.ops.aten.slice(tensor, dimension, start, stop, step)
        dimension += 1
    return tensor


def _ends(part: slice) -> tuple[Any, Any, Any]:
    return part.start, part.stop, 1 if part.step is None else part.step


def _without_ellipsis(parts: list[Any], dimensions: int) -> Iterator[Any]:
    taken = sum(part is not None and part is not ... for part in parts)
    for part in parts:
        if part is ...:
            yield from [slice(None)] * (dimensions - taken)
        else:
            yield part


def _is_number(part: Any) -> bool:
    """Return True for a tensor of one integer; those inside of ``vmap`` hold several."""
    if not isinstance(part, torch.Tensor) or part.dim() != 0 or is_functorch_tensor(part):
        return False
    return not (part.is_floating_point() or part.is_complex() or part.dtype is torch.bool)


def _number(part: Any) -> Any:
    return part.item() if _is_number(part) else part
