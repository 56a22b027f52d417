"""Digests of the records of an archive, without reading the weights again."""

from __future__ import annotations

import hashlib
import io
import zipfile


def archive_records(buffer: io.BytesIO) -> dict[str, str]:
    """Map the name of each record to its checksum and size, as the archive's directory has them. The folder that all
    records share is left out of the names. A file that is not a zip archive is one record.

    The reader of PT2 archives is not used: an engine may save any file, and that reader refuses most of them.
    """
    if not zipfile.is_zipfile(buffer):
        return {"the whole file": hashlib.sha1(buffer.getbuffer()).hexdigest()[:12]}
    with zipfile.ZipFile(buffer) as archive:
        return {
            entry.filename.partition("/")[2] or entry.filename: f"crc {entry.CRC:08x}, {entry.file_size} bytes"
            for entry in archive.infolist()
        }
