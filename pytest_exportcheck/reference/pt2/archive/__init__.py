"""The PT2 archive as named records: written whole or not at all, and mapped into memory for
reading.
"""

from __future__ import annotations

from pytest_exportcheck.reference.pt2.archive.programs import (
    MODEL,
    Names,
    chosen_program,
    names_of,
    program_text,
    programs_of,
)
from pytest_exportcheck.reference.pt2.archive.reader import ArchiveReader
from pytest_exportcheck.reference.pt2.archive.records import EXTRA, Place
from pytest_exportcheck.reference.pt2.archive.writer import Record, extra_records, write_archive

__all__ = [
    "EXTRA",
    "MODEL",
    "ArchiveReader",
    "Names",
    "Place",
    "Record",
    "chosen_program",
    "extra_records",
    "names_of",
    "program_text",
    "programs_of",
    "write_archive",
]
