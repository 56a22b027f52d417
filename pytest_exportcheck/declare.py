"""The decorator, and finding the cases of a module by scanning it. There is no registry.

A decorated object carries its cases in its own ``__exportcheck_cases__``; a case belongs to the module in which the
decorator was *called*, so that ``mlp = export_case(...)(shop.MLP)`` in a case file leaves ``shop`` alone.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import FrameType, ModuleType
from typing import Any, TypeVar

from pytest_exportcheck.errors import DeclarationError
from pytest_exportcheck.records import Case, Expectation, Origin, Tolerance

T = TypeVar("T", bound=Callable[..., Any])

ATTRIBUTE = "__exportcheck_cases__"
_NAME = re.compile(r"[\w.+-]+")


def export_case(
    *,
    args: object = None,
    kwargs: object = None,
    dynamic_shapes: object = None,
    name: str | None = None,
    init: Callable[[], Any] | Mapping[str, Any] | Sequence[Any] | None = None,
    modes: Sequence[str] = (),
    engines: Sequence[str] = ("*",),
    tolerance: float | tuple[float, float] | Tolerance | None = None,
    tags: Sequence[str] = (),
    seed: int = 0,
    context: Callable[[], AbstractContextManager[Any]] | None = None,
    train: bool | None = False,
    device: str | None = None,
    random: bool = False,
    expect: Sequence[Expectation] = (),
) -> Callable[[T], T]:
    """Mark an ``nn.Module`` class, or a factory that returns a module, as a case.

    Parameters
    ----------
    args, kwargs
        The example inputs: a tuple and a dict, or zero-argument callables that return them. A callable is called
        again, with another seed, for fresh inputs; of plain values the elements of each tensor are permuted.
    dynamic_shapes
        As for ``torch.export.export``, or a zero-argument callable that returns it.
    name
        The case's name in ids. Default: the name of the decorated object.
    init
        How a decorated class is constructed: a mapping of keyword arguments, a sequence of positional ones, or a
        zero-argument callable that returns the instance. Default: no arguments.
    modes, engines
        Globs that narrow what runs. A mode that is named in full is run although the default set lacks it.
    tolerance
        Compare values with this tolerance on every edge, instead of bit by bit: ``rtol``, ``(rtol, atol)`` or a
        :class:`Tolerance`; both relative to the largest absolute value of the tensor.
    seed
        Added to the session's seed.
    context
        A context manager factory such as ``torch.no_grad``, entered around every capture and every run.
    train
        False: ``module.eval()`` first; True: ``module.train()``; None: the mode in which the factory left it.
    device
        Where the module and the inputs are moved. Default: nowhere.
    random
        True: the outputs are random; their structure, shapes and dtypes are compared, not their values.
    expect
        Expected failures, from :func:`expect_failure`.

    Raises
    ------
    DeclarationError
        When the decorated object is neither a class nor a function, or a parameter is of the wrong kind.
    """
    origin = _caller(sys._getframe(1))

    def decorate(target: T) -> T:
        if not (inspect.isclass(target) or inspect.isroutine(target)):
            raise DeclarationError(
                f"{origin}: export_case decorates an nn.Module class or a function that returns a module, "
                f"got {target!r}. Wrap an instance in a function: `def case(): return instance`."
            )
        case = Case(
            name=_valid_name(str(name or getattr(target, "__name__", "")), origin),
            build=_builder(target, init, origin),
            origin=origin,
            args=args,
            kwargs=kwargs,
            dynamic_shapes=dynamic_shapes,
            modes=_globs("modes", modes, origin),
            engines=_globs("engines", engines, origin),
            tolerance=_tolerance(tolerance, origin),
            tags=_globs("tags", tags, origin),
            seed=_seed(seed, origin),
            context=_context(context, origin),
            train=train,
            device=device,
            random=random,
            expect=_expectations(expect, origin),
            doc=inspect.getdoc(target) or "",
        )
        # The first case in reading order is the topmost decorator, which is applied last.
        setattr(target, ATTRIBUTE, (case, *vars(target).get(ATTRIBUTE, ())))
        return target

    return decorate


def expect_failure(
    mode: str = "*",
    *,
    engine: str = "*",
    check: str = "*",
    reason: str,
    torch: str = "",
) -> Expectation:
    """Declare that items whose mode matches the glob fail, and why.

    The expectation is strict: an item that it names and that passes is reported as stale. ``torch`` limits it to
    versions, such as ``">=2.13,<2.15"``. Only findings of ``check`` (a glob) are excused.

    Raises
    ------
    DeclarationError
        When the reason is empty or the version specifier cannot be parsed.
    """
    origin = _caller(sys._getframe(1))
    if not reason.strip():
        raise DeclarationError(f"{origin}: expect_failure needs a reason that a reader in a year understands.")
    _version_range(torch, origin)
    return Expectation(mode=mode, engine=engine, check=check, reason=reason, torch=torch, origin=origin)


def cases_in(module: ModuleType) -> list[Case]:
    """The cases declared in this module, in the order of its namespace. Imported ones belong elsewhere."""
    found: dict[int, Case] = {}
    for value in list(vars(module).values()):
        for case in cases_on(value, module.__name__):
            found.setdefault(id(case), case)
    return list(found.values())


def cases_on(value: object, module_name: str) -> Iterable[Case]:
    """The cases that an object itself (not its base class) carries and that were declared in that module."""
    return [case for case in carried_by(value) if case.origin.module == module_name]


def carried_by(value: object) -> list[Case]:
    """The cases that an object itself (not its base class) carries, wherever they were declared."""
    try:
        carried = vars(value).get(ATTRIBUTE, ())
    except TypeError:  # objects without a __dict__ carry no cases
        return []
    return [case for case in carried if isinstance(case, Case)]


def _caller(frame: FrameType) -> Origin:
    return Origin(module=frame.f_globals.get("__name__", "?"), file=frame.f_code.co_filename, line=frame.f_lineno)


def _valid_name(name: str, origin: Origin) -> str:
    if _NAME.fullmatch(name):
        return name
    raise DeclarationError(
        f"{origin}: a case's name becomes part of a pytest id: letters, digits, '_', '.', '+' and '-' only, "
        f"got {name!r}. Pass name=."
    )


def _builder(target: Callable[..., Any], init: object, origin: Origin) -> Callable[[], object]:
    if init is not None and not inspect.isclass(target):
        raise DeclarationError(
            f"{origin}: init= constructs a class; {target!r} is a factory, which takes no arguments."
        )
    if init is None:
        return target
    if callable(init):
        return init
    if isinstance(init, Mapping):
        return lambda: target(**init)
    if isinstance(init, Sequence) and not isinstance(init, str):
        return lambda: target(*init)
    raise DeclarationError(
        f"{origin}: init takes a mapping of keyword arguments, a sequence of positional ones or a callable, got {init!r}."
    )


def _globs(label: str, value: Sequence[str], origin: Origin) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable) or not all(isinstance(each, str) for each in value):
        raise DeclarationError(f"{origin}: {label} takes a sequence of names or globs, got {value!r}.")
    return tuple(value)


def _seed(value: object, origin: Origin) -> int:
    if isinstance(value, int):
        return value
    raise DeclarationError(f"{origin}: seed takes an integer, got {value!r}.")


def _context(value: Any, origin: Origin) -> Callable[[], AbstractContextManager[Any]] | None:
    if value is None or (callable(value) and (inspect.isclass(value) or not hasattr(value, "__enter__"))):
        factory: Callable[[], AbstractContextManager[Any]] | None = value
        return factory
    raise DeclarationError(
        f"{origin}: context takes a factory of context managers, entered anew for every run: "
        f"write context=torch.no_grad, not torch.no_grad(). Got {value!r}."
    )


def _tolerance(value: float | tuple[float, float] | Tolerance | None, origin: Origin) -> Tolerance | None:
    if value is None or isinstance(value, Tolerance):
        return value
    if isinstance(value, (int, float)):
        return Tolerance(rtol=float(value), atol=0.0)
    if isinstance(value, tuple) and len(value) == 2:
        return Tolerance(rtol=float(value[0]), atol=float(value[1]))
    raise DeclarationError(f"{origin}: tolerance takes rtol, (rtol, atol) or a Tolerance, got {value!r}.")


def _expectations(value: Sequence[Expectation], origin: Origin) -> tuple[Expectation, ...]:
    if isinstance(value, Expectation) or not all(isinstance(entry, Expectation) for entry in value):
        raise DeclarationError(f"{origin}: expect takes a sequence of expect_failure(...), got {value!r}.")
    return tuple(value)


def _version_range(text: str, origin: Origin) -> None:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        raise DeclarationError(
            f"{origin}: torch={text!r} is no version specifier. Write for example torch='>=2.13,<2.15'."
        ) from None
