"""The readers of the options of a case: each returns a value in the form that cases keep, or says what is wrong."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from pytest_exportcheck.errors import DeclarationError
from pytest_exportcheck.records import LARGEST_SEED, Agreement, Expectation, Origin, Rejection, Tolerance


def globs(label: str, value: Sequence[str], origin: Origin) -> tuple[str, ...]:
    """Return names or globs in the form that cases keep; raise DeclarationError for any other value. A plain string is
    a mistake: it would be read letter by letter.
    """
    if isinstance(value, str) or not isinstance(value, Iterable) or not all(isinstance(each, str) for each in value):
        raise DeclarationError(f"{origin}: {label} takes a sequence of names or globs, got {value!r}.")
    return tuple(value)


def _seed(_: str, value: object, origin: Origin) -> int:
    if isinstance(value, int) and 0 <= value <= LARGEST_SEED:
        return value
    raise DeclarationError(f"{origin}: seed takes an integer from 0 to {LARGEST_SEED}, got {value!r}.")


def _context(_: str, value: Any, origin: Origin) -> Callable[[], AbstractContextManager[Any]] | None:
    if value is None or (callable(value) and (inspect.isclass(value) or not hasattr(value, "__enter__"))):
        factory: Callable[[], AbstractContextManager[Any]] | None = value
        return factory
    raise DeclarationError(
        f"{origin}: context takes a factory of context managers, which is called for every run: "
        f"write context=torch.no_grad, not torch.no_grad(). Got {value!r}."
    )


def _tolerance(_: str, value: Any, origin: Origin) -> Tolerance | None:
    if value is None or isinstance(value, Tolerance):
        return value
    if isinstance(value, (int, float)):
        return Tolerance(rtol=float(value), atol=0.0)
    if isinstance(value, tuple) and len(value) == 2:
        return Tolerance(rtol=float(value[0]), atol=float(value[1]))
    raise DeclarationError(f"{origin}: tolerance takes rtol, (rtol, atol) or a Tolerance, got {value!r}.")


def _declared(label: str, value: Any, origin: Origin) -> tuple[Any, ...]:
    maker, kind = {"expect": ("expect_failure", Expectation), "rejects": ("rejection", Rejection)}[label]
    if not isinstance(value, Iterable) or not all(isinstance(entry, kind) for entry in value):
        raise DeclarationError(f"{origin}: {label} takes a sequence of {maker}(...), got {value!r}.")
    return tuple(value)


def _callable(label: str, value: Any, origin: Origin) -> Callable[..., Any] | None:
    if value is None or callable(value):
        made: Callable[..., Any] | None = value
        return made
    raise DeclarationError(
        f"{origin}: {label} takes a callable that accepts sizes as keyword arguments, got {value!r}."
    )


def _sizes(label: str, value: Any, origin: Origin) -> tuple[Mapping[str, int], ...]:
    pinned = [value] if isinstance(value, Mapping) else value
    if isinstance(pinned, Sequence) and all(isinstance(each, Mapping) for each in pinned):
        wrong = [size for each in pinned for size in each.values() if type(size) is not int or size < 0]
        if not wrong:
            return tuple(dict(each) for each in pinned)
    raise DeclarationError(
        f'{origin}: {label} takes sizes by the names of dims, such as [{{"batch": 7}}], got {value!r}.'
    )


def _agreement(_: str, value: Any, origin: Origin) -> Mapping[str, Agreement]:
    if value is None:
        return {}
    budgets = {"*": value} if isinstance(value, Agreement) else value
    if isinstance(budgets, Mapping) and all(isinstance(each, str) for each in budgets):
        for runtime, budget in budgets.items():
            of = "agreement" if isinstance(value, Agreement) else f"agreement[{runtime!r}]"
            for problem in _problems(of, budget):
                raise DeclarationError(f"{origin}: {problem}")
        return dict(budgets)
    raise DeclarationError(
        f"{origin}: agreement takes an Agreement(...), or a mapping of runtimes to them, got {value!r}."
    )


#: Measure -> its least and its greatest value.
_RANGES: Mapping[str, tuple[float, float]] = {
    "sqnr_db": (-math.inf, math.inf),
    "cosine": (-1, 1),
    "top1": (0, 1),
    "max_abs": (0, math.inf),
}


def _problems(of: str, budget: object, *, nested: bool = False) -> Iterator[str]:
    """Yield what is wrong with a budget, which is called ``of`` in the message."""
    if not isinstance(budget, Agreement):
        yield f"{of} must be an Agreement(...), got {budget!r}."
        return
    for name, limit in budget.limits.items():
        least, most = _RANGES[name]
        number = isinstance(limit, (int, float)) and not isinstance(limit, bool) and math.isfinite(limit)
        if not number or not least <= limit <= most:
            yield f"{of}: {name} takes {_range(least, most)}, got {limit!r}."
    if not isinstance(budget.outputs, Mapping) or (nested and budget.outputs):
        yield f"{of}: outputs maps the outputs of the model to budgets, which have no outputs; got {budget.outputs!r}."
        return
    for key, each in budget.outputs.items():
        if not isinstance(key, (int, str)) or isinstance(key, bool):
            yield f"{of}: outputs are named by number or by path, such as 0 or 'logits', got {key!r}."
        yield from _problems(f"{of}.outputs[{key!r}]", each, nested=True)
    if not budget.limits and not budget.outputs:
        yield f"{of} measures nothing: give it {', '.join(_RANGES)} or outputs."


def _range(least: float, most: float) -> str:
    if math.isinf(most):
        return "a finite number" if math.isinf(least) else f"a finite number of at least {least:g}"
    return f"a number from {least:g} to {most:g}"


def _samples(_: str, value: Any, origin: Origin) -> Mapping[str, object]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(name, str) and name for name in value):
        raise DeclarationError(f'{origin}: samples maps names to inputs, such as {{"dog": (image,)}}, got {value!r}.')
    for name, given in value.items():
        if not isinstance(given, (tuple, dict)) and not callable(given):
            raise DeclarationError(
                f"{origin}: sample {name!r} must be a tuple of positional arguments, a dict of keyword arguments, a tuple of "
                f"both, or a callable that returns one of these, got {type(given).__name__}. For one argument write (x,)."
            )
    return dict(value)


#: Option -> its reader: a function of the option's name, its value and the place of the declaration.
CHECKED: Mapping[str, Callable[[str, Any, Origin], Any]] = {
    "modes": globs,
    "engines": globs,
    "tags": globs,
    "seed": _seed,
    "context": _context,
    "tolerance": _tolerance,
    "expect": _declared,
    "rejects": _declared,
    "agreement": _agreement,
    "samples": _samples,
    "inputs": _callable,
    "sizes": _sizes,
}
