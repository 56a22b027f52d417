"""The PT2 archive as named records under one root folder: written whole or not at all, and mapped into memory for
reading.
"""

from __future__ import annotations

from pytest_exportcheck.reference.pt2.archive.reader import ArchiveReader
from pytest_exportcheck.reference.pt2.archive.records import EXTRA, Place
from pytest_exportcheck.reference.pt2.archive.writer import Record, extra_records, write_archive

__all__ = ["EXTRA", "ArchiveReader", "Place", "Record", "extra_records", "write_archive"]
