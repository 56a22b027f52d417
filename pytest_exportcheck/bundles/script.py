"""The script of a bundle, ``repro.py``."""

from __future__ import annotations

from pytest_exportcheck.records import BundleRecord


def script_of(record: BundleRecord) -> str:
    """Return the text of ``repro.py``."""
    return f'"""{record.finding.check}"""\n'
