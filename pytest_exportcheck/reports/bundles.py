"""Sentences about bundles: what a folder contains, and what a replay of it found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_exportcheck.records import BundleRecord, Finding, Outcome, RunSettings
from pytest_exportcheck.reports.failure import finding_lines
from pytest_exportcheck.reports.wording import kind_of

_UNITS = ("bytes", "kB", "MB", "GB")


def size_text(number: float) -> str:
    """Return a number of bytes in words: ``1.2 MB``."""
    unit = 0
    while number >= 1000 and unit < len(_UNITS) - 1:
        number, unit = number / 1000, unit + 1
    return f"{number:.0f} {_UNITS[unit]}" if unit == 0 or number >= 10 else f"{number:.1f} {_UNITS[unit]}"


def contents_text(record: BundleRecord) -> str:
    """Return what a bundle contains, in a few words."""
    held = {
        "program": f"the program before {record.stage}",
        "module": "the module",
        "nothing": "the program after the capture, which cannot be replayed",
    }[record.start]
    weights = size_text(record.weight_bytes) if record.weights == "the model's" else "random ones"
    sources = len(record.module.files) if record.module else 0
    source = f", source files: {sources}" if sources else ""
    return f"{held}, weights: {weights}, inputs: yes{source}"


def written_text(record: BundleRecord, folder: str) -> str:
    """Return the line for the terminal about a bundle that was written."""
    command = f"python {folder}/repro.py" if record.start == "nothing" else f"exportcheck replay {folder}"
    return f"bundle {folder}: {contents_text(record)}. To run it again: {command}"


_REPLAY = "- `exportcheck replay .` runs the stage with all checks of pytest-exportcheck"


def readme_text(record: BundleRecord) -> str:
    """Return the text that a reader of the folder finds first."""
    finding, outcome = record.finding, record.outcome
    lines = [
        f"# {outcome.case}[{outcome.engine}-{outcome.mode}]",
        "",
        f"pytest-exportcheck found: {finding.check}: {finding.place}: expected {_line(finding.expected)}, got {_line(finding.actual)}",
        "",
        f"This folder contains {contents_text(record)}. Share it only if you may share these.",
        "",
        "- `python repro.py` runs the stage and prints expected and got; exit status 1 while it fails, 0 when it does not",
        *([_REPLAY] if record.start != "nothing" else []),
        "- `finding.json` and `environment.json` say what was found, and where",
        *(f"- not included: {each}" for each in record.left_out),
        "",
    ]
    return "\n".join(lines)


def _line(text: str) -> str:
    return next(iter(text.splitlines()), "")


#: The signs of a replay.
VERDICTS: Mapping[str, str] = {
    "fixed": "FIXED",
    "still fails": "STILL FAILS",
    "fails differently": "FAILS DIFFERENTLY",
}


def verdict_text(verdict: str, finding: Finding | None) -> str:
    """Return the result of a replay in a few words."""
    if finding is None:
        return VERDICTS[verdict]
    what = _line(finding.actual) if finding.change == "raised" else f"{kind_of(finding)}"
    return f"{VERDICTS[verdict]}: {finding.check}: {finding.place}: {what}"


def replay_lines(record: BundleRecord, outcome: Outcome, finding: Finding | None) -> Iterator[str]:
    """Yield what a replay found: the finding that decides, and why another one does not count as the same."""
    if finding is not None:
        yield from finding_lines(finding)
    if finding is not None and finding.identity != record.finding.identity:
        yield f"  recorded was {record.finding.check}: {record.finding.place}: {kind_of(record.finding)}"
    if finding is None and outcome.reason:
        yield f"  {outcome.reason}"


def environment_text(was: RunSettings, now: RunSettings) -> str:
    """Return how an environment differs from that of the bundle; empty where it does not."""
    pairs = {"torch": (was.torch, now.torch), "pytest-exportcheck": (was.exportcheck, now.exportcheck)}
    changed = [f"{name} {old} (here: {new})" for name, (old, new) in pairs.items() if old != new]
    return f"  recorded with {', '.join(changed)}" if changed else ""


def weights_text(record: BundleRecord, *, done: bool) -> str:
    """Return what became of the weights of a bundle."""
    if done:
        return "  its weights are random ones now: the finding remains with them"
    return f"  its weights ({size_text(record.weight_bytes)}) are kept: with random ones the finding does not remain"
