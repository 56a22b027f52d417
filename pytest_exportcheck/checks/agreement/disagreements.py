"""All differences between two programs of one case."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_exportcheck.checks import deduplicated
from pytest_exportcheck.checks.agreement.ranges import range_findings, without_repeated
from pytest_exportcheck.checks.agreement.sides import Pair
from pytest_exportcheck.checks.agreement.sizes import size_findings
from pytest_exportcheck.checks.agreement.structure import structure_findings
from pytest_exportcheck.checks.agreement.values import shared_notes, value_findings
from pytest_exportcheck.records import Finding


def disagreements(pair: Pair) -> list[Finding]:
    """Return the differences, each once: first what the programs compute, then what they accept, then how they are
    made.
    """
    at_sizes = list(size_findings(pair))
    values = [*value_findings(pair), *(each for each in at_sizes if each.check != "sizes")]
    accepted = [each for each in at_sizes if each.check == "sizes"]
    ranges = list(range_findings(pair, accepted))
    structure = structure_findings(pair, values)
    return deduplicated([*values, *without_repeated(pair, ranges, accepted), *ranges, *structure])


def shared_faults(pair: Pair, found: Sequence[Finding]) -> tuple[str, ...]:
    """Return notes about the differences from eager that both sides have in the same way."""
    return tuple(shared_notes(pair, found))
