"""The decorator, and the cases that a module declares.

A case belongs to the module in which the decorator was *called*, so that ``mlp = export_case(...)(shop.MLP)`` in a case
file does not change ``shop``. That module keeps a list of its cases, so that none is lost: one declared in a loop, in a
class or in a function counts too. The decorated object also carries its cases, in its own ``__exportcheck_cases__``.
"""

from __future__ import annotations

import difflib
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from types import FrameType, ModuleType
from typing import Any, NoReturn, TypeVar

from pytest_exportcheck.declare.options import CHECKED, globs
from pytest_exportcheck.errors import DeclarationError
from pytest_exportcheck.expectations.entry import problems
from pytest_exportcheck.expectations.refusal_kinds import KINDS
from pytest_exportcheck.records import Agreement, Case, Expectation, Origin, Rejection, Tolerance

__all__ = ["case_of", "cases_in", "cases_of", "cases_on", "expect_failure", "export_case", "globs", "rejection"]

T = TypeVar("T", bound=Callable[..., Any])

ATTRIBUTE = "__exportcheck_cases__"
_DECLARED = "__exportcheck_declared__"
_NAME = re.compile(r"[\w.+-]+")


def export_case(
    *positional: NoReturn,
    args: object = None,
    kwargs: object = None,
    dynamic_shapes: object = None,
    name: str | None = None,
    init: Callable[[], Any] | Mapping[str, Any] | Sequence[Any] | None = None,
    modes: Sequence[str] = (),
    engines: Sequence[str] = ("*",),
    tolerance: float | tuple[float, float] | Tolerance | None = None,
    agreement: Agreement | Mapping[str, Agreement] | None = None,
    tags: Sequence[str] = (),
    seed: int = 0,
    context: Callable[[], AbstractContextManager[Any]] | None = None,
    train: bool | None = False,
    device: str | None = None,
    random: bool = False,
    expect: Sequence[Expectation] = (),
    rejects: Sequence[Rejection] = (),
    inputs: Callable[..., Any] | None = None,
    sizes: Sequence[Mapping[str, int]] = (),
    samples: Mapping[str, object] | None = None,
    **unknown: NoReturn,
) -> Callable[[T], T]:
    """Mark an ``nn.Module`` class, or a factory that returns a module, as a case.

    Parameters
    ----------
    args, kwargs
        The example inputs: a tuple and a dict, or zero-argument callables that return them. A callable is called again,
        with another seed, for fresh inputs; of plain values the elements of each tensor are permuted.
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
    agreement
        The least agreement of what runtimes return with what the program returns, in place of closeness: an
        :class:`Agreement` for all runtimes, or a mapping of runtimes to them, ``"*"`` for all others.
    tags
        Words for the user's own selection of cases; the plugin does not use them.
    seed
        A number that is added to the session's seed.
    context
        A context manager factory such as ``torch.no_grad``, entered around every capture and every run.
    train
        False: ``module.eval()`` first; True: ``module.train()``; None: the mode in which the factory left it.
    device
        The device that the module and the inputs are moved to. Default: they are not moved.
    random
        True: the outputs are random; their structure, shapes and dtypes are compared, not their values.
    expect
        Expected failures, from :func:`expect_failure`.
    rejects
        Calls and stages that must be refused, from :func:`rejection`. A case that must be refused at its capture has no
        further modes.
    inputs
        For fuzzing, inputs that belong together: a callable that is given the size of every dim by the name of its
        ``Dim``, and returns a tuple of positional arguments, a dict of keyword arguments, or a tuple of both. Default:
        tensors of the example, resized.
    sizes
        For fuzzing, sizes that are always run: ``[{"batch": 7}]``. Dims that are not named have the example's size.
    samples
        Named inputs that every mode and runtime is called with after the fresh inputs: ``{"dog": (image,)}``. Each is a
        tuple of positional arguments, a dict of keyword arguments, a tuple of both, or a callable that returns one of
        these, which is called when the case is run.

    Raises
    ------
    DeclarationError
        When the decorated object is neither a class nor a function, or a parameter is of the wrong kind.
    """
    frame = sys._getframe(1)
    origin = _caller(frame)
    _only_known(export_case, origin, positional, unknown)

    def decorate(target: T) -> T:
        case = case_of(
            target,
            origin,
            args=args,
            kwargs=kwargs,
            dynamic_shapes=dynamic_shapes,
            name=str(name or ""),
            init=init,
            modes=modes,
            engines=engines,
            tolerance=tolerance,
            agreement=agreement,
            tags=tags,
            seed=seed,
            context=context,
            train=train,
            device=device,
            random=random,
            expect=expect,
            rejects=rejects,
            inputs=inputs,
            sizes=sizes,
            samples=samples,
        )
        # The first case in reading order is the topmost decorator, which is applied last.
        carried = vars(target).get(ATTRIBUTE, ())
        setattr(target, ATTRIBUTE, (case, *carried))
        _declare(frame.f_globals, case, before=carried[:1])
        return target

    return decorate


def case_of(target: Callable[..., Any], origin: Origin, *, name: str = "", init: object = None, **given: Any) -> Case:
    """Return the case that these options of :func:`export_case` make of a class or a factory.

    Raises
    ------
    DeclarationError
        As :func:`export_case`.
    """
    if not (inspect.isclass(target) or inspect.isroutine(target)):
        raise DeclarationError(
            f"{origin}: export_case decorates an nn.Module class or a function that returns a module, "
            f"got {target!r}. Wrap an instance in a function: `def case(): return instance`."
        )
    checked = {key: CHECKED[key](key, value, origin) if key in CHECKED else value for key, value in given.items()}
    return Case(
        name=_valid_name(name or str(getattr(target, "__name__", "")), origin),
        build=_builder(target, init, origin),
        origin=origin,
        **checked,
    )


def expect_failure(
    mode: str = "*",
    *,
    engine: str = "*",
    check: str = "*",
    error: str = "",
    reason: str = "",
    torch: str = "",
    **unknown: NoReturn,
) -> Expectation:
    """Declare that items whose mode matches the glob fail, and why.

    The expectation is strict: an item that the expectation names and that passes is reported as stale.

    Parameters
    ----------
    mode, engine, check
        Globs on the names of modes, engines and checks. Only findings of these are excused. Default: all.
    error
        A regular expression that is searched for in the text of a finding. Only findings with a match are excused.
    reason
        Why the items fail. Required.
    torch
        A version specifier such as ``">=2.13,<2.15"``. With other versions of torch the expectation does not apply.

    Raises
    ------
    DeclarationError
        When the reason is empty, or the version specifier or the pattern cannot be parsed.
    """
    origin = _caller(sys._getframe(1))
    _only_known(expect_failure, origin, (), unknown)
    entry = Expectation(mode=mode, engine=engine, check=check, error=error, reason=reason, torch=torch, origin=origin)
    for _, message in problems(entry):
        raise DeclarationError(f"{origin}: {message}")
    return entry


def rejection(
    at: str,
    *,
    kind: str = "*",
    error: str = "",
    args: object = None,
    kwargs: object = None,
    **unknown: NoReturn,
) -> Rejection:
    """Declare a negative case: a stage or a call that must be refused.

    Parameters
    ----------
    at
        ``"capture"``, an edge such as ``"serdes"``, or ``"call"``: then every program of the case is called with
        ``args`` and ``kwargs``, and must refuse them.
    kind
        The kind of the refusal: ``constraint``, ``data_dependent``, ``guard``, ``input``, ``unsupported``, or ``*`` for
        any.
    error
        A regular expression that is searched for in ``Type: message`` of the error.
    args, kwargs
        The inputs of the call: a tuple and a dict, or zero-argument callables that return them.

    Raises
    ------
    DeclarationError
        When ``kind`` is unknown, the pattern is not valid, or a call has no inputs.
    """
    origin = _caller(sys._getframe(1))
    _only_known(rejection, origin, (), unknown)
    if kind not in ("*", *KINDS):
        raise DeclarationError(f"{origin}: the kind of a rejection is one of {', '.join(KINDS)} or '*', got {kind!r}.")
    if (at == "call") != (args is not None or kwargs is not None):
        raise DeclarationError(
            f"{origin}: rejection('call') needs the inputs that the program must refuse: args= or kwargs=. A rejection at a "
            "stage takes none: the stage refuses the example of the case."
        )
    try:
        re.compile(error)
    except re.error as wrong:
        raise DeclarationError(
            f"{origin}: error={error!r} is not a valid regular expression: {wrong}. Escape literal text with a backslash."
        ) from None
    return Rejection(at=at, kind=kind, error=error, args=args, kwargs=kwargs, origin=origin)


def cases_in(module: ModuleType) -> list[Case]:
    """Return the cases declared in this module, in the order of their declarations. Imported ones belong elsewhere."""
    return list(vars(module).get(_DECLARED, ()))


def cases_on(value: object, module_name: str) -> Iterable[Case]:
    """Return the cases that an object itself (not its base class) carries and that were declared in that module."""
    return [case for case in cases_of(value) if case.origin.module == module_name]


def cases_of(value: object) -> list[Case]:
    """Return the cases that a decorated object carries (not those of its base class), for the hook
    ``exportcheck_cases`` for example.
    """
    try:
        carried = vars(value).get(ATTRIBUTE, ())
    except TypeError:  # objects without a __dict__ carry no cases
        return []
    return [case for case in carried if isinstance(case, Case)]


def _declare(module: dict[str, Any], case: Case, before: Sequence[Case]) -> None:
    """Add a case to those of its module, ahead of the one that a decorator below has declared for the same object."""
    declared: list[Case] = module.setdefault(_DECLARED, [])
    places = [number for number, each in enumerate(declared) if any(each is other for other in before)]
    declared.insert(places[0] if places else len(declared), case)


def _only_known(
    function: Callable[..., Any], origin: Origin, positional: Sequence[object], unknown: Iterable[str]
) -> None:
    """Raise DeclarationError for a positional argument (``@export_case`` without parentheses) or an unknown keyword:
    Python's own TypeError names neither the file nor the remedy.
    """
    if positional:
        decorated = getattr(positional[0], "__name__", "")
        got = f"it decorates {decorated} directly" if decorated else f"it got {positional[0]!r}"
        raise DeclarationError(
            f"{origin}: export_case takes keyword arguments only, but {got}. Write @export_case(args=...), "
            "or @export_case() for a model without inputs."
        )
    for name in unknown:
        kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        known = [key for key, each in inspect.signature(function).parameters.items() if each.kind in kinds]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise DeclarationError(
            f"{origin}: {function.__name__} has no keyword {name!r}{hint} Keywords: {', '.join(known)}."
        )


def _caller(frame: FrameType) -> Origin:
    return Origin(module=frame.f_globals.get("__name__", "?"), file=frame.f_code.co_filename, line=frame.f_lineno)


def _valid_name(name: str, origin: Origin) -> str:
    if _NAME.fullmatch(name):
        return name
    raise DeclarationError(
        f"{origin}: the name of a case is part of a pytest id and may have letters, digits, '_', '.', '+' and '-' only, "
        f"got {name!r}. Pass name=."
    )


def _builder(target: Callable[..., Any], init: object, origin: Origin) -> Callable[[], object]:
    if init is not None and not inspect.isclass(target):
        raise DeclarationError(
            f"{origin}: init= holds the arguments of a class, but {target!r} is a factory, which takes none. Leave out init=."
        )
    if init is None or callable(init):
        return init or target
    if isinstance(init, Mapping):
        return partial(target, **init)
    if isinstance(init, Sequence) and not isinstance(init, str):
        return partial(target, *init)
    raise DeclarationError(
        f"{origin}: init takes a mapping of keyword arguments, a sequence of positional ones or a callable, got {init!r}."
    )
