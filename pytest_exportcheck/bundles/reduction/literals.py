"""Tensors as expressions of Python: a recipe, or its elements, and the layout of the elements."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from pytest_exportcheck.harness.tensors import same_bits

#: Elements of a tensor that is written out, at most.
MOST_ELEMENTS = 24
_SEEDS = 3


@dataclass(frozen=True)
class Recipe:
    """An expression of Python for a tensor, and the tensor itself."""

    text: str
    value: torch.Tensor


@dataclass(frozen=True)
class Layout:
    """The order in which a tensor is stored: a contiguous ``base``, and the methods that make the tensor of it."""

    base: torch.Tensor
    suffix: str = ""
    order: tuple[int, ...] | None = None
    conjugated: bool = False

    def of(self, base: torch.Tensor) -> torch.Tensor:
        """Return another tensor with the same layout."""
        made = base if self.order is None else base.permute(_inverse(self.order))
        return made.conj() if self.conjugated else made


def layout_of(value: torch.Tensor) -> Layout | None:
    """Return the layout of a tensor that one of the methods makes of a contiguous one, else None."""
    if type(value) not in (torch.Tensor, torch.nn.Parameter) or value.layout is not torch.strided:
        return None
    if value.device.type != "cpu" or value.is_nested or value.is_neg():
        return None
    given = value.detach()
    conjugated = given.is_conj()
    given = given.conj() if conjugated else given
    conj = ".conj()" if conjugated else ""
    if given.is_contiguous():
        return Layout(given, conj, conjugated=conjugated)
    order = tuple(sorted(range(given.dim()), key=given.stride, reverse=True))
    base = given.permute(order)
    if not base.is_contiguous():
        return None
    permute = ".t()" if order == (1, 0) else f".permute{_inverse(order)}"
    return Layout(base, permute + conj, order, conjugated)


def _inverse(order: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(order.index(dim) for dim in range(len(order)))


def recipes(value: torch.Tensor) -> Iterator[Recipe]:
    """Yield contiguous tensors of the shape and dtype of a tensor that have a short expression, the plainest first."""
    try:
        yield from _recipes(tuple(value.shape), value.dtype)
    except (RuntimeError, NotImplementedError):  # a dtype that torch cannot fill so
        return


def _recipes(shape: tuple[int, ...], dtype: torch.dtype) -> Iterator[Recipe]:
    of_dtype = "" if dtype is torch.get_default_dtype() else f", dtype={dtype}"
    size = ", ".join(map(str, shape)) if shape else "()"
    yield Recipe(f"torch.ones({size}{of_dtype})", torch.ones(shape, dtype=dtype))
    yield Recipe(f"torch.zeros({size}{of_dtype})", torch.zeros(shape, dtype=dtype))
    if dtype is torch.bool:
        return
    if not dtype.is_complex:
        count = math.prod(shape)
        end = float(count) if dtype.is_floating_point else count
        plain = of_dtype if dtype is not torch.int64 else ""
        reshaped = "" if len(shape) == 1 else f".reshape({size})"
        yield Recipe(f"torch.arange({end}{plain}){reshaped}", torch.arange(end, dtype=dtype).reshape(shape))
    if dtype is torch.complex64:
        yield Recipe(f"torch.full({shape}, 1j)", torch.full(shape, 1j))
    if dtype.is_floating_point or dtype.is_complex:
        for seed in range(_SEEDS):
            drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
            generator = f"generator=torch.Generator().manual_seed({seed})"
            yield Recipe(f"torch.randn({size}, {generator}{of_dtype})", drawn)


def expression_of(value: Any) -> str | None:
    """Return an expression that makes a value to the bit, None for one that would be too long or cannot be written."""
    if not isinstance(value, torch.Tensor):
        return number_text(value)
    layout = layout_of(value)
    if layout is not None:
        text = _contiguous(layout.base)
        return None if text is None else text + layout.suffix
    plain = value.detach()
    if type(value) is not torch.Tensor or plain.layout is not torch.strided or plain.device.type != "cpu":
        return None
    if 0 in plain.stride() or plain.is_neg():
        return _expanded(plain)
    text = _contiguous(plain.contiguous())
    strided = f"torch.empty_strided({tuple(plain.shape)}, {tuple(plain.stride())}{_dtype_of(plain)})"
    return None if text is None else f"{strided}.copy_({text})"


def _expanded(plain: torch.Tensor) -> str | None:
    if plain.is_neg():
        return None
    base = plain
    for dim, stride in enumerate(plain.stride()):
        base = base.narrow(dim, 0, 1) if stride == 0 and plain.shape[dim] else base
    text = _contiguous(base.contiguous()) if base.is_contiguous() else None
    return None if text is None else f"{text}.expand{tuple(plain.shape)}"


def _dtype_of(value: torch.Tensor) -> str:
    return "" if value.dtype is torch.get_default_dtype() else f", dtype={value.dtype}"


def _contiguous(value: torch.Tensor) -> str | None:
    recipe = next((each.text for each in recipes(value) if same_bits(each.value, value)), None)
    if recipe is not None and (value.numel() > 1 or not value.dim()):
        return recipe
    if value.numel() > MOST_ELEMENTS:
        return recipe
    return recipe if value.numel() == 0 else _written(value)


def _written(value: torch.Tensor) -> str | None:
    """Return a tensor with its elements, if they come back to the bit."""
    elements = value.tolist()
    wanted = torch.tensor(elements).dtype
    text = f"torch.tensor({number_text(elements)}{f', dtype={value.dtype}' if wanted is not value.dtype else ''})"
    return text if same_bits(torch.tensor(elements, dtype=value.dtype), value) else None


def number_text(value: Any) -> str | None:
    """Return plain data as Python writes it; infinities and NaN as calls of ``float``."""
    if isinstance(value, list):
        texts = [number_text(each) for each in value]
        return None if None in texts else f"[{', '.join(map(str, texts))}]"
    if type(value) is float:
        return repr(value) if math.isfinite(value) else f'float("{value}")'
    if type(value) is complex:
        return repr(value) if math.isfinite(value.real) and math.isfinite(value.imag) else None
    return repr(value) if value is None or type(value) in (int, bool, str) else None
