"""Puts the twenty models of benchmarks/runtime_models through runtimes, and prints the table of docs/runtimes.md.

    python -m benchmarks.runtime_table [--minutes N] [RUNTIME ...]

Every runtime gets a pytest process and N minutes (60 by default). Models that it does not reach are "not run".
"""

from __future__ import annotations

import argparse
import importlib.metadata
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pytest_exportcheck.records import Outcome, Report, Status
from pytest_exportcheck.reports.json_report import read_report

MODELS = Path(__file__).parent / "runtime_models"
RUNTIMES = ("onnx", "openvino", "executorch", "executorch_xnnpack", "aoti")
VERSIONS = (
    "torch",
    "torchvision",
    "timm",
    "transformers",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "openvino",
    "executorch",
)


def checked(runtime: str, minutes: float) -> Report | None:
    """Run the models on a runtime, and return the report; None if there is none."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            *(sys.executable, "-m", "pytest", str(MODELS), "-n", "0", "-p", "no:cacheprovider"),
            *("--exportcheck", "--exportcheck-engines=torch", "--exportcheck-modes=nonstrict"),
            *(f"--exportcheck-runtime={runtime}", f"--exportcheck-json={report}"),
        ]
        try:
            subprocess.run(command, stdout=sys.stderr, timeout=minutes * 60, check=False)
        except subprocess.TimeoutExpired:
            print(f"{runtime}: stopped after {minutes:g} minutes", file=sys.stderr)
        return read_report(report) if report.is_file() else None


def word_of(outcome: Outcome | None) -> str:
    """Return the cell of an item."""
    if outcome is None:
        return "not run"
    if outcome.status is Status.PASSED:
        return "green"
    if outcome.status is Status.UNSUPPORTED:
        return "unsupported"
    known = dict.fromkeys(each.known_as for each in outcome.findings if each.known_as)
    if known and all(each.known_as for each in outcome.findings if each.verdict != "tolerated"):
        return f"defect: {', '.join(known)}"
    return f"**{outcome.status.value}**"


def table(found: Mapping[str, Mapping[str, Outcome]], cases: Sequence[str]) -> Iterator[str]:
    """Yield the lines of the table, and the reasons of what is unsupported."""
    yield f"| model | {' | '.join(found)} |"
    yield f"|---|{'---|' * len(found)}"
    for case in cases:
        yield f"| {case} | {' | '.join(word_of(found[runtime].get(case)) for runtime in found)} |"
    yield ""
    for outcomes in found.values():
        for case, outcome in outcomes.items():
            if outcome.status is Status.UNSUPPORTED:
                yield f"- {case}, {outcome.reason}"
    yield ""
    yield f"Versions: {', '.join(_versions())}."


def _versions() -> Iterator[str]:
    for name in VERSIONS:
        try:
            yield f"{name} {importlib.metadata.version(name).partition('+')[0]}"
        except importlib.metadata.PackageNotFoundError:
            yield f"{name} not installed"


def main() -> None:
    """Print the table, and fail if an item is red for a reason that is not known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runtimes", nargs="*", default=RUNTIMES, choices=[*RUNTIMES, []], metavar="RUNTIME")
    parser.add_argument("--minutes", type=float, default=60)
    options = parser.parse_args()
    found: dict[str, dict[str, Outcome]] = {}
    cases: dict[str, None] = {}
    for runtime in options.runtimes:
        report = checked(runtime, options.minutes)
        items = report.items if report else ()
        named = [(each, each.case.rpartition("::")[2]) for each in items]
        cases.update(dict.fromkeys(name for _, name in named))
        found[runtime] = {name: each for each, name in named if each.mode.endswith(f"-{runtime}")}
    lines = list(table(found, list(cases)))
    print("\n".join(lines))
    sys.exit(any("**" in line for line in lines))


if __name__ == "__main__":
    main()
