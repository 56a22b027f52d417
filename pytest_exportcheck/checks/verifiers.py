"""Verifiers: the program's dialect, the verifiers that it names, and that they accept it."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_exportcheck.records import Evidence, Finding

_FINDING = Finding.of("verifiers")


def check(evidence: Evidence) -> list[Finding]:
    """Compare the dialect with that of the contract or that of before; and check that the verifiers accept the
    program.
    """
    return list(_found(evidence))


def _found(evidence: Evidence) -> Iterator[Finding]:
    program, before = evidence.after.program, evidence.before.program
    if program is None:
        return
    level = evidence.contract["verifiers"]
    expected: str = level
    if level == "before or ATEN":
        expected = before.dialect if before is not None and program.dialect == before.dialect else "ATEN"
    if level in ("equal", "captured"):  # a capture of a lowered program may be training IR again
        again = level == "captured" and program.dialect == "TRAINING"
        expected = program.dialect if before is None or again else before.dialect
    if program.dialect != expected:
        yield _FINDING.at("dialect", "changed", "dialect", expected, program.dialect)
    same = before is not None and before.dialect == program.dialect and level in ("equal", "captured")
    if same and before is not None and program.verifiers != before.verifiers:
        yield _FINDING.at(
            "verifiers", "changed", "", ", ".join(before.verifiers), ", ".join(program.verifiers) or "none"
        )
    elif not program.verifiers:
        yield _FINDING.at("verifiers", "missing", "", "a verifier", "none")
    refused = program.refused_by
    if refused is not None:
        yield _FINDING.at("the program", "refused", "", "accepted by its verifiers", refused, error=refused)
