"""The preservation ledger: which fields survive an edge, in how many places."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pytest_exportcheck.checks.compare.metadata import fates, key_of
from pytest_exportcheck.checks.val import val_differences
from pytest_exportcheck.policy import METADATA
from pytest_exportcheck.records import Evidence, FieldSurvival, Finding, ProgramRecord


def ledger_of(evidence: Evidence, findings: Iterable[Finding]) -> tuple[FieldSurvival, ...]:
    """Return a ledger of node metadata and ``val`` of all paired nodes, and of the further losses in the findings."""
    counts: dict[str, Counter[str]] = {}
    before = evidence.before.program
    if evidence.alignment is not None and before is not None:
        for _, one, other in evidence.alignment.pairs():
            for key, fate in fates(one, other, {}):
                counts.setdefault(f"metadata.{key_of(one, key)}", Counter())[fate] += 1
            if evidence.contract.get("val") == "equal" and one.op == "output":
                if one.val != other.val:
                    counts.setdefault("val.output", Counter())["gained" if one.val is None else "changed"] += 1
            elif evidence.contract.get("val") == "equal" and one.val is not None:
                changed = {field for field, _, _ in val_differences(one.val, other.val, before.constraints.ranges)}
                counts.setdefault("val", Counter())["changed" if changed else "kept"] += 1
                for field in changed:
                    counts.setdefault(f"val.{field}", Counter())["changed"] += 1
    after = evidence.after.program
    if before is not None and after is not None:
        for key in dict.fromkeys((*before.graph_meta, *after.graph_meta)):
            counts.setdefault("graph_module.meta", Counter())[_meta_fate(before, after, key)] += 1
    counted = set(counts)
    for finding in findings:
        if finding.verdict == "tolerated" and finding.name not in counted:
            counts.setdefault(finding.name, Counter())[_fate(finding)] += 1
    return tuple(
        FieldSurvival(field=field, promised=_is_promised(field, evidence), **count)
        for field, count in sorted(counts.items())
    )


def _is_promised(field: str, evidence: Evidence) -> bool:
    """Return whether a field of node metadata is judged by a table for any stage, or by the repo's own settings
    here.
    """
    check, _, key = field.partition(".")
    return field != "graph_module.meta" and (check != "metadata" or key in METADATA or key in evidence.fields)


def _meta_fate(before: ProgramRecord, after: ProgramRecord, key: str) -> str:
    if key not in before.graph_meta:
        return "gained"
    if key not in after.graph_meta:
        return "dropped"
    return "kept" if before.graph_meta[key] == after.graph_meta[key] else "changed"


def _fate(finding: Finding) -> str:
    return finding.change if finding.change in ("dropped", "gained") else "changed"
