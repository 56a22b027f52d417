"""The properties of an item in junit's XML."""

from __future__ import annotations

from pytest_exportcheck.records import Outcome
from pytest_exportcheck.reports.encoding import printable
from pytest_exportcheck.reports.wording import kind_of


def properties(outcome: Outcome) -> list[tuple[str, str]]:
    """Return the properties of an item in junit's XML: names and texts."""
    known = dict.fromkeys(each.known_as for each in outcome.findings if each.known_as)
    texts = {
        "case": outcome.case,
        "engine": outcome.engine,
        "mode": outcome.mode,
        "status": str(outcome.status),
        "reason": outcome.reason,
        "known": " ".join(known),
        "seconds": f"{sum(outcome.seconds.values()):.3f}",
    }
    findings = [f"{each.check}: {each.place}: {kind_of(each)} [{each.verdict}]" for each in outcome.findings]
    named = [(f"exportcheck_{name}", printable(text)) for name, text in texts.items() if text]
    return [*named, *(("exportcheck_finding", printable(text)) for text in findings)]
