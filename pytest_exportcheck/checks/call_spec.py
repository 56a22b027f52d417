"""Call spec: the pytree structure of inputs and outputs, and the names of the inputs, as the program states them."""

from __future__ import annotations

from pytest_exportcheck.checks.outputs import spec_text
from pytest_exportcheck.records import Evidence, Finding

_FINDING = Finding.of("call_spec")


def check(evidence: Evidence) -> list[Finding]:
    """Compare the call specifications of both sides; a side without one is not judged."""
    before, after = evidence.before.call_spec, evidence.after.call_spec
    if before is None or after is None:
        return []
    pairs = {
        "inputs": (before.inputs, after.inputs),
        "outputs": (before.outputs, after.outputs),
        "input names": (before.names, after.names),
    }
    return [
        _FINDING.at(
            place, "changed", "names" if place == "input names" else "structure", _text(expected), _text(actual)
        )
        for place, (expected, actual) in pairs.items()
        if expected is not None and actual is not None and expected != actual
    ]


def _text(value: object) -> str:
    return ", ".join(value) if isinstance(value, tuple) else spec_text(value)
