"""``import:package.module:NAME``: decorated cases of a module that no case file names, or any factory."""

from __future__ import annotations

import difflib
import inspect
import re
import sys
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from pytest_exportcheck.declare import cases_in, cases_of
from pytest_exportcheck.errors import SelectionError
from pytest_exportcheck.records import Case, Origin
from pytest_exportcheck.sources.spec import Found, Spec

OPTIONS = {
    "shape": "shape of the float tensor that a class or a factory without inputs takes, such as 2x3; 2x3/2x8 for two tensors"
}
_SHAPE = re.compile(r"\d+(x\d+)*(/\d+(x\d+)*)*")


def cases(spec: Spec) -> Found:
    """Return the cases with this name or glob that the module declares, or that the object of this name carries; else
    one case whose factory is that object: a module class, or a function that returns a module or ``(module, args[,
    kwargs])``, both called without arguments.

    Raises
    ------
    SelectionError
        When the module cannot be imported, has nothing of that name, or has an object of that name that is not a
        factory.
    """
    path, _, name = spec.name.partition(":")
    if not path or not name:
        raise SelectionError(
            f"{spec} names no factory: write import:MODULE:NAME, for example import:shop.models:small, "
            "or import:MODULE:* for every case that is declared there."
        )
    module = _imported(spec, path)
    found = [case for case in cases_in(module) if fnmatchcase(case.name, name)]
    if found and spec.options:
        raise SelectionError(
            f"{spec}: {name} is declared with its inputs. Leave out shape=, which is only for functions and classes without @export_case."
        )
    if not found:
        found = _at(spec, module, name)
    if spec.options:
        return Found(label=path, cases={str(spec): case for case in found})
    return Found(label=path, cases={f"{spec.source}:{path}:{case.name}": case for case in found})


def _imported(spec: Spec, path: str) -> ModuleType:
    """Import the module, from the current folder too, as ``python -m pytest`` finds it; installed packages come
    first.
    """
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
    try:
        return import_module(path)
    except (Exception, SystemExit) as error:
        raise SelectionError(
            f"{spec}: the module {path!r} cannot be imported ({type(error).__name__}: {error}). Correct the name, or make it "
            "importable: call pytest in its folder, install its package, or name its folder in pytest's ini option pythonpath."
        ) from None


def _at(spec: Spec, module: ModuleType, name: str) -> list[Case]:
    """Return the cases of the object of this name. Any object counts: the user named it."""
    if name not in vars(module) and not hasattr(module, name):
        raise SelectionError(f"{spec}: {_nothing(module, name)}")
    value = getattr(module, name)
    return list(cases_of(value)) or [_undecorated(spec, name, value)]


def _nothing(module: ModuleType, name: str) -> str:
    declared = [case.name for case in cases_in(module)]
    if any(sign in name for sign in "*?["):
        known = f"its cases: {', '.join(declared)}" if declared else "it declares none with @export_case"
        return f"{module.__name__} has no case that matches {name!r}; {known}."
    callables = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
    near = difflib.get_close_matches(name, [*declared, *callables], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(callables) or 'no functions'}."
    return f"{module.__name__} has no {name!r}{hint}"


def _undecorated(spec: Spec, name: str, value: Any) -> Case:
    problem = _no_factory(value)
    if problem:
        raise SelectionError(
            f"{spec}: {name} {problem}. Name a function without arguments that returns a module, "
            "or (module, args[, kwargs]), or decorate it with @export_case(args=...)."
        )
    shape = _shapes(spec)
    needs = _needs(value) if shape is None else ""
    if needs:
        raise SelectionError(
            f"{spec}: {name}.forward takes ({needs}), but has no example inputs. Add the shape of a float tensor, "
            f"{spec},shape=2x3 (2x3/2x8 for two), or name a function that returns (module, args[, kwargs])."
        )
    return Case(
        name=f"{name}+shape-{spec.options['shape'].replace('/', '+')}" if shape else name,
        build=value,
        origin=_origin(value),
        args=partial(_tensors, shape) if shape else None,
    )


def _shapes(spec: Spec) -> tuple[tuple[int, ...], ...] | None:
    text = spec.options.get("shape")
    if text is None:
        return None
    if not _SHAPE.fullmatch(text):
        raise SelectionError(f"{spec}: shape takes sizes such as 2x3, or 2x3/2x8 for two tensors, got {text!r}.")
    return tuple(tuple(map(int, each.split("x"))) for each in text.split("/"))


def _tensors(shapes: tuple[tuple[int, ...], ...]) -> tuple[torch.Tensor, ...]:
    return tuple(torch.randn(shape) for shape in shapes)


def _needs(value: Any) -> str:
    """Return the parameters that the forward of a module class needs; empty for all others."""
    if not (inspect.isclass(value) and issubclass(value, torch.nn.Module)):
        return ""
    return ", ".join(_required(value.forward)[1:])


def _no_factory(value: Any) -> str:
    """Return the reason why an object is not a factory; empty where it is one."""
    if isinstance(value, torch.nn.Module):
        return f"is a {type(value).__name__} itself, which has no example inputs"
    if not callable(value):
        return f"is {value!r}, not a function or a class"
    return _arguments(value)


def _arguments(factory: Callable[..., Any]) -> str:
    required = _required(factory)
    return f"takes arguments ({', '.join(required)})" if required else ""


def _required(function: Callable[..., Any]) -> list[str]:
    """Return the names of the parameters without a default."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # builtins that do not describe their parameters
        return []
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [each.name for each in parameters if each.default is each.empty and each.kind not in optional]


def _origin(value: Any) -> Origin:
    owner = inspect.getmodule(value)
    try:
        file, line = inspect.getsourcefile(value) or "?", inspect.getsourcelines(value)[1]
    except (TypeError, OSError):  # a partial, or made where there is no source
        file, line = getattr(owner, "__file__", None) or "?", 0
    return Origin(getattr(owner, "__name__", "?"), file, line)
