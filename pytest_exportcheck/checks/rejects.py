"""Rejections: stages and calls that must be refused according to the case."""

from __future__ import annotations

import re

from pytest_exportcheck.expectations.refusal_kinds import is_of_kind
from pytest_exportcheck.records import Evidence, Finding, Raised, Rejection


def check(evidence: Evidence) -> list[Finding]:
    """Judge the reaction of the program to the inputs that it must refuse."""
    refusals = evidence.after.refusals
    places = ["call"] if len(refusals) == 1 else [f"call {number}" for number in range(1, len(refusals) + 1)]
    found = [judged(each.rejection, place, each.raised) for place, each in zip(places, refusals, strict=True)]
    return [finding for finding in found if finding is not None]


def judged(rejection: Rejection, place: str, raised: Raised | None) -> Finding | None:
    """Return a finding where nothing was raised, or another error; None where the refusal is as the case declares."""
    text = str(raised) if raised else ""
    if raised and is_of_kind(rejection.kind, text) and re.search(rejection.error, text):
        return None
    return Finding.of("rejects").at(
        place,
        "refused" if raised else "accepted",
        "",
        _words(rejection),
        text or "no error",
        f"The rejection is declared at {rejection.origin}.",
        error=raised,
    )


def _words(rejection: Rejection) -> str:
    kind = "an error" if rejection.kind == "*" else f"an error of kind {rejection.kind!r}"
    return kind + (f" that says {rejection.error!r}" if rejection.error else "")
