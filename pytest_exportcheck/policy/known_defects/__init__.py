"""Genuine defects of torch, one file for each stage: a finding that a row explains is ``known`` instead of ``broken``.

Each row has a reproducer in tests/test_known_defects.py, which fails when torch fixes the defect.
"""

from __future__ import annotations

from functools import partial

from pytest_exportcheck.policy.known_defects import (
    capture,
    fuzz,
    interop,
    kernels,
    lowering,
    names,
    retrace,
    serdes,
    unflatten,
)
from pytest_exportcheck.policy.known_defects.match import judge_by
from pytest_exportcheck.policy.known_defects.row import KnownDefect

__all__ = ["KNOWN", "KnownDefect", "judge"]

#: All rows. The first one that explains a finding names it.
KNOWN: tuple[KnownDefect, ...] = (
    *names.ROWS,
    *capture.ROWS,
    *lowering.ROWS,
    *serdes.ROWS,
    *interop.ROWS,
    *retrace.ROWS,
    *unflatten.ROWS,
    *fuzz.ROWS,
    *kernels.ROWS,
)

judge = partial(judge_by, KNOWN)
