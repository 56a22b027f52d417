"""Inference captures that compute what eager computes with grad, and not what eager computes without: they are compared
with the former.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from pytest_exportcheck.checks import run_checks
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.policy import BLOCKING, without_grad
from pytest_exportcheck.records import Evidence, Finding, Record
from pytest_exportcheck.records.levels import all_at
from pytest_exportcheck.run.observed_case import ObservedCase
from pytest_exportcheck.run.oracle import Oracle
from pytest_exportcheck.run.recheck import Rechecked


def is_as_with_grad(observed: ObservedCase, mode: Mode, record: Record, findings: Iterable[Finding]) -> bool:
    """Return True if an inference capture does what eager does with grad, and not what eager does without: some
    captures run ``forward`` with grad, some without.
    """
    if mode.parent or not without_grad(mode.stages) or not any(map(_is_of_values, findings)):
        return False
    oracles = observed.oracles
    return oracles.without_grad is not oracles.with_grad and not _differs(observed, oracles.with_grad, record)


def held_against_grad(
    observed: ObservedCase,
    engine: str,
    mode: Mode,
    checked: Rechecked,
    *,
    evidence: Callable[[], Evidence],
    check: Callable[[Evidence], list[Finding]],
) -> tuple[Evidence, Rechecked]:
    """Compare a capture with eager with grad, if eager with grad and without differ only by rounding. Otherwise return
    the findings of the comparison without, with what the capture did. ``evidence`` makes the evidence against the
    oracle of the mode.
    """
    oracles = observed.oracles
    if _differs(observed, oracles.without_grad, oracles.with_grad.record):
        findings = [_captured_with_grad(each) if _is_of_values(each) else each for each in checked.findings]
        return evidence(), replace(checked, findings=findings)
    oracles.hold_against_grad(engine, mode.capture)
    against_grad = evidence()
    checked = oracles.of(engine, mode).recheck.checked(check, against_grad)
    note = f"{mode}: compared with eager with grad, because the program has its kernels; under torch.no_grad() eager differs by rounding"
    return against_grad, replace(checked, notes=(*checked.notes, note))


def _differs(observed: ObservedCase, oracle: Oracle, other: Record) -> bool:
    """Return True if a record differs from an oracle in more than rounding and the strides, which depend on the
    kernel.
    """
    evidence = Evidence(
        case="",
        engine="",
        mode="",
        stage="",
        before=oracle.record,
        after=other,
        contract=all_at(BLOCKING, "close"),
        tolerance=observed.case.tolerance,
        random=observed.case.random,
    )
    return any(map(_is_of_values, oracle.recheck.checked(run_checks, evidence).findings))


def _is_of_values(finding: Finding) -> bool:
    """Return True if a finding is about values that a program computes, and not only about strides."""
    return finding.check in BLOCKING and finding.key != "stride"


def _captured_with_grad(finding: Finding) -> Finding:
    return replace(finding, detail="\n".join(filter(None, [finding.detail, _WITH_GRAD])))


_WITH_GRAD = (
    "The program computes what eager computes with grad: the capture ran forward() with grad enabled. Under torch.no_grad(), as "
    "inference programs are called, forward() computes something else. Capture under torch.no_grad() (context=torch.no_grad)."
)
