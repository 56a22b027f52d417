"""Checks of a JSON text before its schema: UTF-8, well formed, no key twice, integers of 64 bits; each fault has its
place.

Two readers of JSON may understand a text that breaks these rules differently; therefore such a text is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from pytest_exportcheck.errors import SchemaError

Path: TypeAlias = tuple[str | int, ...]

SMALLEST, LARGEST = -(2**63), 2**64 - 1
"""The schema's integers have 64 bits; the upper half of the unsigned ones is there for values of ``uint64`` tensors."""

_SURELY_SMALL = 18  # digits and sign
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class _Fault(Exception):
    expected: str
    got: str


def path_text(path: Path) -> str:
    """Return ``("nodes", 12, "a.b")`` as ``$.nodes[12]["a.b"]``."""
    return "$" + "".join(_step(step) for step in path)


def _step(step: str | int) -> str:
    if isinstance(step, str) and _PLAIN_KEY.fullmatch(step):
        return f".{step}"
    return f"[{json.dumps(step)}]"


def fault(where: str, path: Path, expected: str, got: str, remedy: str = "") -> SchemaError:
    """Return the error for one place of a file."""
    remedy = remedy or "The file is damaged or its writer is at fault: save the program again."
    return SchemaError(f"{where}: {path_text(path)}: expected {expected}, got {got}. {remedy}")


def text_of(data: bytes, *, where: str) -> str:
    """Return the text of JSON bytes, after checking that it is well formed.

    Raises
    ------
    SchemaError
        For bytes that are not UTF-8 or not JSON, are too deeply nested, have a key twice in one object, or an integer
        beyond 64 bits.
    """
    try:
        text = data.decode()
        try:
            json.loads(text, object_pairs_hook=_refuse_twice, parse_int=_refuse_large)
        except _Fault:
            raise _located(text, where) from None
    except UnicodeDecodeError as error:
        raise fault(where, (), "UTF-8", f"the byte 0x{data[error.start]:02x} at {error.start}") from None
    except json.JSONDecodeError as error:
        place = f"at line {error.lineno}, column {error.colno}"
        raise fault(where, (), "JSON", f"{error.msg} {place}") from None
    except RecursionError:
        raise too_deep(where) from None
    return text


def too_deep(where: str) -> SchemaError:
    """Return the error for JSON that is nested too deeply."""
    return fault(where, (), "JSON nested as a program is", "JSON nested too deeply to read")


def _refuse_twice(pairs: list[tuple[str, object]]) -> None:
    if len(dict(pairs)) != len(pairs):
        raise _twice(pairs)


def _twice(pairs: list[tuple[str, object]]) -> _Fault:
    keys = [key for key, _ in pairs]
    key = next(key for place, key in enumerate(keys) if key in keys[:place])
    return _Fault("every key once", f"the key {key!r} twice")


def _refuse_large(digits: str) -> int:
    if len(digits) > _SURELY_SMALL and (len(digits) > 20 or not SMALLEST <= int(digits) <= LARGEST):
        raise _large(digits)
    return 0


def _large(digits: str) -> _Fault:
    return _Fault("an integer of 64 bits", digits if len(digits) <= 40 else f"one with {len(digits)} digits")


def _located(text: str, where: str) -> SchemaError:
    """Read the text once more, leaving each fault in its place, and find the first."""

    def pairs_or_fault(pairs: list[tuple[str, object]]) -> object:
        known = dict(pairs)
        return known if len(known) == len(pairs) else _twice(pairs)

    def int_or_fault(digits: str) -> object:
        try:
            return _refuse_large(digits)
        except _Fault as large:
            return large

    tree = json.loads(text, object_pairs_hook=pairs_or_fault, parse_int=int_or_fault)
    path, first = next(_faults(tree, ()))
    return fault(where, path, first.expected, first.got)


def _faults(value: object, path: Path) -> Iterator[tuple[Path, _Fault]]:
    if isinstance(value, _Fault):
        yield path, value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _faults(each, (*path, key))
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield from _faults(each, (*path, place))
