"""Which difference is broken, known or lost: tables, not code.

``CONTRACT`` is the table "what each edge must preserve" of docs/contract.md; its columns are the stages, its rows the
checks. ``KNOWN`` lists genuine defects of torch: a finding that a row explains is ``known`` instead of ``broken``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from packaging.specifiers import SpecifierSet

from pytest_exportcheck.records import Finding, Tolerance

#: Stages that share a column.
COLUMN = {
    "nonstrict": "capture",
    "strict": "capture",
    "nonstrict_postdispatch": "postdispatch",
    "strict_postdispatch": "postdispatch",
    "interop": "serdes",
}

#: Below autograd composite operators take other kernels (an LSTM's outputs move by 6e-8; eager's own move by 3e-8 without
#: grad), so ``postdispatch`` is compared closely, not bit by bit.
#:
#: check -> column -> how strict. A missing entry means: not judged there.
CONTRACT: Mapping[str, Mapping[str, str]] = {
    "outputs": {
        "capture": "bits",
        "postdispatch": "close",
        "decompose": "close",
        "serdes": "bits",
        "retrace": "bits",
        "unflatten": "bits",
    },
    "effects": {
        "capture": "bits",
        "postdispatch": "close",
        "decompose": "close",
        "serdes": "bits",
        "retrace": "bits",
        "unflatten": "bits",
    },
    "state": {
        "capture": "as the module",
        "postdispatch": "as the module",
        "decompose": "equal",
        "serdes": "equal",
        "retrace": "equal",
        "unflatten": "as the module",
    },
    "call_spec": {
        "capture": "equal",
        "postdispatch": "equal",
        "decompose": "equal",
        "serdes": "equal",
        "retrace": "equal",
    },
}

#: How far "close" lets a tensor lie from the expected one: relative to its largest absolute value, and absolute.
#: Measured: decomposing a 12-layer transformer moves float32 outputs by 3e-7 of the largest value.
CLOSE: Mapping[str, Tolerance] = {
    "float64": Tolerance(rtol=1e-10, atol=1e-14),
    "complex128": Tolerance(rtol=1e-10, atol=1e-14),
    "float32": Tolerance(rtol=1e-5, atol=1e-7),
    "complex64": Tolerance(rtol=1e-5, atol=1e-7),
    "float16": Tolerance(rtol=4e-3, atol=1e-6),
    "bfloat16": Tolerance(rtol=3e-2, atol=1e-6),
}

#: Findings of these checks block what lies behind the mode.
BLOCKING = frozenset({"outputs", "effects"})


def contract_for(stage: str, *, bit_stable: bool = True) -> dict[str, str]:
    """The column of the contract table for a stage; where eager is not bit-stable, bits become closeness."""
    column = COLUMN.get(stage, stage)
    levels = {check: row[column] for check, row in CONTRACT.items() if column in row}
    if not bit_stable:
        levels = {check: "close" if level == "bits" else level for check, level in levels.items()}
    return levels


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
    place: str = "*"
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
)


def judge(findings: Iterable[Finding], *, engine: str, capture: str, stage: str, torch_version: str) -> list[Finding]:
    """The findings with their verdicts: what a known defect explains becomes ``known``."""
    rows = [
        row
        for row in KNOWN
        if fnmatchcase(engine, row.engine)
        and fnmatchcase(stage, row.stage)
        and fnmatchcase(capture, row.capture)
        and SpecifierSet(row.torch).contains(torch_version, prereleases=True)
    ]
    return [_judged(finding, rows) for finding in findings]


def _judged(finding: Finding, rows: Iterable[KnownDefect]) -> Finding:
    for row in rows:
        if (
            finding.check == row.check
            and fnmatchcase(finding.kind, row.kind)
            and fnmatchcase(finding.place, row.place)
            and fnmatchcase(finding.actual, row.actual)
        ):
            return replace(finding, verdict="known", known_as=row.id)
    return finding
