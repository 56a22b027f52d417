"""Constants that a pytree spec keeps with its children (keys, names), as plain values that need no context."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from pytest_exportcheck.errors import SchemaError, UnsupportedError
from pytest_exportcheck.reference.pt2.plain.kind import Plain
from pytest_exportcheck.reference.pt2.plain.values import plain, value_of


class _Alone:
    """A reader without symbols, tensors, nodes and functions."""

    def expression(self, text: str) -> NoReturn:
        self._refuse(text)

    def symbolic(self, kind: str, text: str, hint: Any) -> NoReturn:  # noqa: ARG002
        self._refuse(text)

    def tensor(self, facts: Mapping[str, Plain]) -> NoReturn:
        self._refuse(facts)

    def node(self, name: str) -> NoReturn:
        self._refuse(name)

    def named(self, name: str) -> NoReturn:
        self._refuse(name)

    def _refuse(self, content: object) -> NoReturn:
        raise SchemaError(f"expected a constant of a pytree, got {str(content)[:60]!r}.")


def describe_constant(value: object) -> Plain:
    """Return the plain value.

    Raises
    ------
    UnsupportedError
        Where its type has no plain form.
    """
    try:
        described = plain(value)
        constant_of(described)
    except (UnsupportedError, SchemaError) as error:
        raise UnsupportedError(
            f"a pytree keeps what a file cannot hold: {str(error).rstrip('.')}. Register the pytree node with "
            "to_dumpable_context and from_dumpable_context."
        ) from None
    return described


def constant_of(described: Plain) -> Any:
    """Return the value that :func:`describe_constant` described.

    Raises
    ------
    SchemaError
        Where the argument is not such a description.
    UnsupportedError
        Where it names a class that does not exist here.
    """
    return value_of(described, _Alone())
