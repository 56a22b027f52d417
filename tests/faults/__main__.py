"""``python -m tests.faults``: a table of all faults, and who found them."""

from __future__ import annotations

import sys

from tests.faults.catalogue import CATALOGUE
from tests.faults.trial import Trial, run_with


def main() -> int:
    """Print the table; the exit status is 1 when a fault was missed."""
    totals: dict[str, list[Trial]] = {}
    print(f"{'fault':54} {'where':30} {'owner':34} {'':6} found by")
    for group, faults in CATALOGUE.items():
        for fault in faults:
            trial = run_with(fault)
            totals.setdefault(group, []).append(trial)
            print(_row(trial), flush=True)
    print()
    for group, trials in totals.items():
        print(f"{group:16} {_found(trials):>3} of {len(trials)}")
    everything = [trial for trials in totals.values() for trial in trials]
    print(f"{'all':16} {_found(everything):>3} of {len(everything)}")
    return 0 if _found(everything) == len(everything) else 1


def _row(trial: Trial) -> str:
    fault = trial.fault
    owner = f"ledger {fault.ledger}" if fault.ledger else f"{fault.owner} {fault.field}".strip()
    found = "found" if trial.found else "MISSED"
    by = ", ".join((*(["the ledger"] if fault.ledger and trial.found else []), *trial.noticed_by)) or "nobody"
    return f"{fault.id:54} {fault.where:30} {owner:34} {found:6} {by}"


def _found(trials: list[Trial]) -> int:
    return sum(trial.found for trial in trials)


if __name__ == "__main__":
    sys.exit(main())
