"""Genuine defects of torch: a finding that a row explains is ``known`` instead of ``broken``.

Each row has a reproducer in tests/test_known_defects.py, which fails when torch mends the defect.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from packaging.specifiers import SpecifierSet

from pytest_exportcheck.records import Finding


@dataclass(frozen=True, kw_only=True)
class KnownDefect:
    """A genuine torch defect: the findings that it explains are ``known``. All patterns are globs."""

    id: str
    title: str
    torch: str
    check: str
    kind: str
    engine: str = "torch"
    stage: str = "*"
    capture: str = "*"
    mode: str = "*"
    place: str = "*"
    expected: str = "*"
    actual: str = "*"


KNOWN: tuple[KnownDefect, ...] = (
    KnownDefect(
        id="strict-drops-names",
        title="strict capture drops unused and tied names from the program's module and, on retrace, from its state",
        torch=">=2.13",
        capture="strict*",
        check="state",
        kind="dropped*",
    ),
    KnownDefect(
        id="strict-reorders-state",
        title="strict capture orders the program's state by first use instead of as the module does",
        torch=">=2.13",
        capture="strict*",
        check="state",
        kind="order",
    ),
    KnownDefect(
        id="loaded-constant-is-a-view",
        title="a loaded program with a tensor made in forward (torch.tensor) cannot be retraced: its constant is a view",
        torch=">=2.13",
        stage="retrace",
        check="stage",
        kind="raised",
        actual="RuntimeError: Can't detach views in-place*",
    ),
    KnownDefect(
        id="lstm-keeps-tracing-tensors",
        title="non-strict capture below autograd leaves FunctionalTensors in an LSTM's or GRU's _flat_weights",
        torch=">=2.13",
        capture="nonstrict_postdispatch",
        check="stage",
        kind="edited",
        place="module *_flat_weights*",
    ),
    KnownDefect(
        id="serdes-splits-tied-parameters",
        title="torch.export.save/load turns tied parameters into separate Parameters that share storage",
        torch=">=2.13",
        stage="serdes",
        check="state",
        kind="untied",
    ),
    KnownDefect(
        id="attribute-mutation-dropped",
        title="a tensor in a plain attribute that forward mutates or replaces is a constant: the mutation is dropped",
        torch=">=2.13",
        check="effects",
        kind="attribute mutation lost",
    ),
    KnownDefect(
        id="attribute-mutated-by-capture",
        title="non-strict capture below autograd mutates tensors in plain attributes of the user's module",
        torch=">=2.13",
        capture="nonstrict_postdispatch",
        check="stage",
        kind="edited",
        place="module *[[]*",
        expected="unchanged by the capture",
    ),
    KnownDefect(
        id="lowering-drops-unused-random",
        title="lowering deletes a random operation whose result nobody uses: the generator no longer advances",
        torch=">=2.13",
        stage="decompose",
        check="effects",
        kind="generator untouched",
    ),
    KnownDefect(
        id="postdispatch-drops-unused-random",
        title="capture below autograd deletes a random operation whose result nobody uses",
        torch=">=2.13",
        stage="*_postdispatch",
        check="effects",
        kind="generator untouched",
    ),
    KnownDefect(
        id="strict-subgraph-module-path",
        title="in subgraphs of a strict capture nn_module_stack names a module '_export_root' that does not exist",
        torch=">=2.13",
        capture="strict*",
        check="metadata",
        kind="nn_module_stack wrong",
        place="*[[]*",
        actual="'_export_root'*",
    ),
    KnownDefect(
        id="serdes-drops-unused-ranges",
        title="torch.export.load drops the range of an unbacked symbol that stands in no node",
        torch=">=2.13",
        stage="serdes",
        check="constraints",
        kind="range of an unused symbol dropped",
    ),
)


def judge(findings: Iterable[Finding], *, engine: str, mode: str, torch_version: str) -> list[Finding]:
    """The findings with their verdicts: what is broken and explained by a known defect becomes ``known``."""
    stages = mode.split("-")
    rows = [
        row
        for row in KNOWN
        if fnmatchcase(engine, row.engine)
        and fnmatchcase(stages[-1], row.stage)
        and fnmatchcase(stages[0], row.capture)
        and fnmatchcase(mode, row.mode)
        and SpecifierSet(row.torch).contains(torch_version, prereleases=True)
    ]
    return [_judged(finding, rows) for finding in findings]


def _judged(finding: Finding, rows: Iterable[KnownDefect]) -> Finding:
    for row in rows:
        if (
            finding.verdict == "broken"
            and finding.check == row.check
            and fnmatchcase(finding.kind, row.kind)
            and fnmatchcase(finding.place, row.place)
            and fnmatchcase(finding.expected, row.expected)
            and fnmatchcase(finding.actual, row.actual)
        ):
            return replace(finding, verdict="known", known_as=row.id)
    return finding
