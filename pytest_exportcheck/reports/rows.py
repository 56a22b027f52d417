"""Rows: what a process that ran items tells the one that reports. Simple types only, for they cross process borders."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from pytest_exportcheck.reports.report import ItemReport


def plain(value: Any) -> Any:
    """The same with tuples as lists and text that any encoding of Unicode can carry: a lone surrogate, as in the name of
    a file that is no UTF-8, becomes ``\\udc80`` in letters. Numbers that are not finite, which JSON has not, are left out
    of mappings."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {plain(key): plain(each) for key, each in value.items() if not _is_endless(each)}
    if isinstance(value, float):
        return round(value, 6)  # seconds: microseconds are enough
    if isinstance(value, (tuple, list)):
        return [plain(each) for each in value]
    return value


def _is_endless(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def item_of(row: Mapping[str, Any], **more: Any) -> ItemReport:
    """The report's entry for a row; ``more`` is what only the reporting process knows."""
    return msgspec.convert(plain({**row, **more}), ItemReport)


def properties(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What junit's XML says of an item besides its outcome: names and texts."""
    known = dict.fromkeys(each["known_as"] for each in row.get("findings", ()) if each["known_as"])
    texts = {
        "case": row["case"],
        "engine": row["engine"],
        "mode": row["mode"],
        "status": row["status"],
        "reason": row.get("reason", ""),
        "known": " ".join(known),
        "seconds": f"{sum(row.get('seconds', {}).values()):.3f}",
    }
    findings = [
        f"{each['check']}: {each['place']}: {each['kind']} [{each['verdict']}]" for each in row.get("findings", ())
    ]
    named = [(f"exportcheck_{name}", text) for name, text in texts.items() if text]
    return [*named, *(("exportcheck_finding", text) for text in findings)]
