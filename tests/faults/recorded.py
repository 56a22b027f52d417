"""``python -m tests.faults.recorded FILE``: writes the findings of every fault as the terminal shows them.

Two such files show which texts of findings a change of the code changes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pytest_exportcheck.records import Outcome
from pytest_exportcheck.reports.failure import finding_lines
from tests.faults.catalogue import CATALOGUE
from tests.faults.trial import run_sound, run_with


def main(arguments: Sequence[str]) -> int:
    """Write the findings of every fault, and of every model without a fault, to the file."""
    if len(arguments) != 1:
        print("usage: python -m tests.faults.recorded FILE", file=sys.stderr)
        return 2
    sound: set[tuple[str, str]] = set()
    with Path(arguments[0]).open("w", encoding="utf-8") as file:
        for fault in (each for faults in CATALOGUE.values() for each in faults):
            if (fault.model, fault.where) not in sound:
                sound.add((fault.model, fault.where))
                outcome = run_sound(fault.model, fault.where)
                print(_text(f"without a fault: {fault.model} {fault.where}", outcome), file=file)
            print(_text(f"{fault.id}: {fault.model} {fault.where}", run_with(fault).outcome), file=file, flush=True)
    return 0


def _text(title: str, outcome: Outcome) -> str:
    findings = [line for finding in outcome.findings for line in finding_lines(finding, verbose=True)]
    return "\n".join([f"# {title}: {outcome.status}", *findings])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
