"""Encodings of texts and records for any terminal, file or process."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec


def printable(text: str) -> str:
    r"""Spell out what no encoding of Unicode can carry: a lone surrogate, as in the name of a file that is not UTF-8,
    becomes ``\udc80`` in letters.
    """
    return text.encode("utf-8", "backslashreplace").decode()


def visible(text: str) -> str:
    """Spell out the characters that a page cannot show or that change how others are shown: controls except line ends and
    tabs, lone surrogates, and marks of the direction of text.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in "\n\t\u00a0" else ascii(each)[1:-1] for each in text)


def simple_types(record: object) -> Any:
    """Turn a record into mappings, lists, numbers and printable text. JSON has no number that is not finite: such
    numbers are left out of mappings, so that a field of a record has its default.
    """
    return _simple(msgspec.to_builtins(record))


def _simple(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {_simple(key): _simple(each) for key, each in value.items() if not _is_endless(each)}
    if isinstance(value, float):
        return (
            round(value, 6) if abs(value) >= 1e-3 else float(f"{value:.4g}")
        )  # seconds need no more, errors are small
    if isinstance(value, (tuple, list)):
        return [_simple(each) for each in value]
    return value


def _is_endless(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
