"""Genuine defects of torch and of runtimes, a file for each stage: a finding that a row explains is ``known``, not
``broken``.

Each row has a reproducer in tests/test_known_defects.py or tests/test_known_runtime_defects.py, which fails when the
defect is fixed.
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
    runtimes,
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
    *runtimes.ROWS,
)

judge = partial(judge_by, KNOWN)
