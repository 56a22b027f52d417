"""Operators of types that are not torch's, by handlers that their owners register."""

from __future__ import annotations

from typing import Any, Protocol

from pytest_exportcheck.errors import UnsupportedError

_SIGN = "#"


class ExtensionHandler(Protocol):
    """A handler that names the operators of one type in files. Class or instance: torch's own handlers fit."""

    def namespace(self) -> str: ...
    def to_op_name(self, op: Any) -> str: ...
    def from_op_name(self, name: str) -> Any: ...
    def op_schema(self, op: Any) -> Any: ...


_BY_TYPE: dict[type, ExtensionHandler] = {}
_BY_NAMESPACE: dict[str, ExtensionHandler] = {}


def register_extension(op_type: type, extension_handler: Any) -> None:
    """Register how operators of a user's type are written and read. The registration holds for the process.

    Parameters
    ----------
    op_type
        The class of the operators.
    extension_handler
        A class or an object with ``namespace()``, ``to_op_name(op)``, ``from_op_name(name)`` and ``op_schema(op)``, the
        ``torch.FunctionSchema`` of an operator. A handler made for torch's serializer can be registered here too.

    Raises
    ------
    TypeError
        For a type of torch's or Python's, and for a handler that lacks a method.
    ValueError
        For a type or a namespace that has a handler, and for a namespace with a colon.
    """
    if not isinstance(op_type, type) or op_type.__module__.partition(".")[0] in ("torch", "builtins"):
        raise TypeError(
            f"the type of an extension operator must be a class from outside torch and builtins, got {op_type!r}."
        )
    methods = ("namespace", "to_op_name", "from_op_name", "op_schema")
    missing = [name for name in methods if not callable(getattr(extension_handler, name, None))]
    if missing:
        raise TypeError(f"the handler {extension_handler!r} lacks {', '.join(missing)}.")
    namespace = extension_handler.namespace()
    if not isinstance(namespace, str) or ":" in namespace:
        raise ValueError(f"a namespace must be a string without a colon, got {namespace!r}.")
    if op_type in _BY_TYPE or namespace in _BY_NAMESPACE:
        raise ValueError(f"{op_type.__qualname__} or the namespace {namespace!r} has a handler already.")
    _BY_TYPE[op_type] = _BY_NAMESPACE[namespace] = extension_handler


def extension_name(target: Any) -> str | None:
    """Return ``#namespace:name`` for an operator with a handler, and None for any other value.

    Raises
    ------
    UnsupportedError
        Where the handler gives no name.
    """
    handler = _BY_TYPE.get(type(target))
    if handler is None:
        return None
    name = handler.to_op_name(target)
    if not isinstance(name, str) or ":" in name:
        raise UnsupportedError(f"the handler of {target!r} must name it by a string without a colon, got {name!r}.")
    return f"{_SIGN}{handler.namespace()}:{name}"


def is_extension_name(name: str) -> bool:
    """Return whether a name is that of an extension operator."""
    return name.startswith(_SIGN)


def extension_of(name: str) -> Any:
    """Return the operator of that name.

    Raises
    ------
    UnsupportedError
        Where no handler is registered for its namespace, or the handler knows no such operator.
    """
    namespace, _, operator = name.removeprefix(_SIGN).partition(":")
    handler = _BY_NAMESPACE.get(namespace)
    if handler is None:
        raise UnsupportedError(
            f"{name!r} is an extension operator of {namespace!r}, for which no handler is registered here. "
            "Call pytest_exportcheck.reference.register_extension before loading the file."
        )
    try:
        found = handler.from_op_name(operator)
    except Exception as error:
        raise UnsupportedError(f"the handler of {namespace!r} refuses {operator!r}: {error}.") from error
    if _BY_TYPE.get(type(found)) is not handler:
        raise UnsupportedError(
            f"the handler of {namespace!r} returned {found!r} for {operator!r}, which is not one of its operators."
        )
    return found


def extension_schema(target: Any) -> Any:
    """Return the schema of an operator with a handler, and None for any other value."""
    handler = _BY_TYPE.get(type(target))
    return None if handler is None else handler.op_schema(target)
