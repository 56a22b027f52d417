"""The PT2 archive as named records under one root folder: written whole or not at all, read as memory."""

from __future__ import annotations

from pytest_exportcheck.serde.archive_frame import EXTRA, Place
from pytest_exportcheck.serde.archive_reader import ArchiveReader
from pytest_exportcheck.serde.archive_writer import Record, extra_records, write_archive

__all__ = ["EXTRA", "ArchiveReader", "Place", "Record", "extra_records", "write_archive"]
