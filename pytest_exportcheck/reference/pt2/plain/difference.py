"""The difference of two plain values, as a plain value, and its application.

A difference is ``{"is": value}``, or ``{"in": {key: difference}, "without": [keys]}`` for mappings, or ``{"at":
{number: difference}}`` for lists of one length. The order of a mapping has no meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_exportcheck.errors import SchemaError
from pytest_exportcheck.reference.pt2.plain.kind import Plain
from pytest_exportcheck.reference.pt2.plain.values import same

Difference = dict[str, Any]


def difference(wanted: Plain, given: Plain) -> Difference:
    """Return the difference by which :func:`restored` makes ``wanted`` of ``given``; empty where they are the same."""
    if same(wanted, given):
        return {}
    if isinstance(wanted, dict) and isinstance(given, dict):
        return _of_mappings(wanted, given)
    if isinstance(wanted, list) and isinstance(given, list) and len(wanted) == len(given):
        pairs = enumerate(zip(wanted, given, strict=True))
        return {"at": {str(number): each for number, pair in pairs if (each := difference(*pair))}}
    return {"is": wanted}


def _of_mappings(wanted: dict[str, Plain], given: dict[str, Plain]) -> Difference:
    found: Difference = {}
    changed = {
        key: difference(value, given[key]) if key in given else {"is": value}
        for key, value in wanted.items()
        if key not in given or given[key] is not value
    }
    inner = {key: each for key, each in changed.items() if each}
    gone = [key for key in given if key not in wanted]
    if inner:
        found["in"] = inner
    if gone:
        found["without"] = gone
    return found


def restored(given: Plain, change: Difference) -> Plain:
    """Return the plain value with the difference applied.

    Raises
    ------
    SchemaError
        When the difference belongs to another value.
    """
    if not change:
        return given
    try:
        return _restored(given, change)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise SchemaError(f"the supplement does not fit the program of the file: {error!r}.") from error


def _restored(given: Plain, change: Difference) -> Plain:
    if "is" in change:
        return change["is"]
    if "at" in change:
        after = list(given)
        for number, each in change["at"].items():
            after[int(number)] = _restored(after[int(number)], each)
        return after
    return _mapping(given, change)


def _mapping(given: Mapping[str, Plain], change: Difference) -> dict[str, Plain]:
    gone = set(change.get("without", ()))
    after = {key: value for key, value in given.items() if key not in gone}
    for key, each in change.get("in", {}).items():
        after[key] = _restored(after.get(key), each)
    return after
