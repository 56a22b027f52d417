"""Which difference is broken, known or lost: tables, not code."""

from pytest_exportcheck.policy.contract import (
    ALIGNMENT,
    BELIEVED_ROUNDOFFS,
    BLOCKING,
    CLOSE,
    CONTRACT,
    FEW_ELEMENTS,
    LEAST_ROUNDOFFS,
    METADATA,
    OWN_ROUNDING,
    UNIT_ROUNDOFF,
    column_of,
    contract_for,
    is_known_layout,
    loosest,
    without_grad,
)
from pytest_exportcheck.policy.known import KNOWN, KnownDefect, judge
from pytest_exportcheck.policy.lost import LOST, NO_OVERRIDES, Lost, Override, Overrides, fields_for, tolerated

__all__ = [
    "ALIGNMENT",
    "BELIEVED_ROUNDOFFS",
    "BLOCKING",
    "CLOSE",
    "CONTRACT",
    "FEW_ELEMENTS",
    "KNOWN",
    "LEAST_ROUNDOFFS",
    "LOST",
    "METADATA",
    "NO_OVERRIDES",
    "OWN_ROUNDING",
    "UNIT_ROUNDOFF",
    "KnownDefect",
    "Lost",
    "Override",
    "Overrides",
    "column_of",
    "contract_for",
    "fields_for",
    "is_known_layout",
    "judge",
    "loosest",
    "tolerated",
    "without_grad",
]
