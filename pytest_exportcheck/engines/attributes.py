"""The optional attributes of an engine that a hook gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pytest_exportcheck.errors import EngineError


def optional_attributes(candidate: Any, name: str) -> dict[str, Any]:
    """Return the attributes of ``Engine`` that an object has, by their names.

    Raises
    ------
    EngineError
        When one of them has the wrong type.
    """
    found = {attribute: getattr(candidate, attribute, None) for attribute in _READ}
    return {
        attribute: _READ[attribute](f"engine {name!r}: {attribute}", value)
        for attribute, value in found.items()
        if value is not None
    }


def _names(what: str, value: Any) -> frozenset[str]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise EngineError(f"{what} must be a tuple of names, got {value!r}.")
    return frozenset(value)


def _errors(what: str, value: Any) -> tuple[type[BaseException], ...]:
    given = tuple(value) if isinstance(value, Iterable) else (None,)
    if not all(isinstance(each, type) and issubclass(each, BaseException) for each in given):
        raise EngineError(f"{what} must be a tuple of exception classes, got {value!r}.")
    return given


def _mapping(what: str, value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise EngineError(f"{what} must be a mapping from stages to names, got {value!r}.")
    return dict(value)


def _method(what: str, value: Any) -> Callable[..., Any]:
    if not callable(value):
        raise EngineError(f"{what} must be a method, got {value!r}.")
    method: Callable[..., Any] = value
    return method


def _text(what: str, value: Any) -> str:
    if not isinstance(value, str):
        raise EngineError(f"{what} must be a string, got {value!r}.")
    return value


_READ: Mapping[str, Callable[[str, Any], Any]] = {
    "edits_input": _names,
    "default_modes": _names,
    "contract_of": _mapping,
    "delegates_to": _mapping,
    "refusals": _errors,
    "objections": _errors,
    "save": _method,
    "load": _method,
    "unportable": _method,
    "format": _text,
}
