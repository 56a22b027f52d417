"""Puts the twenty models of benchmarks/runtime_models through runtimes, and prints the table of docs/runtimes.md.

    python -m benchmarks.runtime_table [--seconds N] [--model MODEL ...] [RUNTIME ...]

Every model gets a pytest process for each runtime, and N seconds (240 by default). One that takes longer is "not run".
"""

from __future__ import annotations

import argparse
import ast
import importlib.metadata
import itertools
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pytest_exportcheck.records import Outcome, Status
from pytest_exportcheck.reports.json_report import read_report

MODELS = Path(__file__).parent / "runtime_models" / "case_runtime_models.py"
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


def models() -> list[str]:
    """Return the names of the models, in the order of their file."""
    defined = (each for each in ast.parse(MODELS.read_text(encoding="utf-8")).body)
    return [each.name for each in defined if isinstance(each, ast.FunctionDef | ast.ClassDef) and each.decorator_list]


def checked(runtime: str, model: str, seconds: float) -> Outcome | None:
    """Run a model on a runtime, and return the outcome; None if there is none."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            *(sys.executable, "-m", "pytest", f"{MODELS}::{model}[torch-nonstrict-{runtime}]"),
            *("-n", "0", "-p", "no:cacheprovider"),
            *("--exportcheck", "--exportcheck-engines=torch", "--exportcheck-modes=nonstrict"),
            *(f"--exportcheck-runtime={runtime}", f"--exportcheck-json={report}"),
        ]
        try:
            subprocess.run(command, stdout=sys.stderr, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            print(f"{runtime}, {model}: stopped after {seconds:g} seconds", file=sys.stderr)
        items = read_report(report).items if report.is_file() else ()
        return next((each for each in items if each.mode.endswith(f"-{runtime}")), None)


def word_of(outcome: Outcome | None) -> str:
    """Return the cell of an item: bold if the item fails."""
    if outcome is None:
        return "not run"
    if outcome.status is Status.PASSED:
        return "green"
    if outcome.status is Status.UNSUPPORTED:
        return "unsupported"
    known = dict.fromkeys(each.known_as for each in outcome.findings if each.known_as)
    word = outcome.status.value if is_unknown(outcome) else f"known: {', '.join(known)}"
    return f"**{word}**" if outcome.status.fails else word


def is_unknown(outcome: Outcome) -> bool:
    """Say whether an item is not green for a reason that is not a known defect."""
    counted = [each for each in outcome.findings if each.verdict != "tolerated"]
    green = outcome.status in {Status.PASSED, Status.UNSUPPORTED}
    return not green and not (counted and all(each.known_as for each in counted))


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
    parser.add_argument("--seconds", type=float, default=240)
    parser.add_argument("--model", action="append", choices=models(), dest="models")
    options = parser.parse_args()
    cases = options.models or models()
    found: dict[str, dict[str, Outcome]] = {runtime: {} for runtime in options.runtimes}
    for runtime, model in itertools.product(options.runtimes, cases):
        outcome = checked(runtime, model, options.seconds)
        if outcome is not None:
            found[runtime][model] = outcome
    print("\n".join(table(found, cases)))
    sys.exit(any(is_unknown(each) for outcomes in found.values() for each in outcomes.values()))


if __name__ == "__main__":
    main()
