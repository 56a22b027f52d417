"""The report as a file: one JSON object, one line an item, replaced as a whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import msgspec

from pytest_exportcheck.atomic_file import write_whole
from pytest_exportcheck.errors import ReportError
from pytest_exportcheck.records import LedgerTotal, Outcome, Report, RunError
from pytest_exportcheck.records.results import MAJOR, MINOR, SCHEMA


class _Head(msgspec.Struct):
    """The first fields of every version of the file."""

    schema: str
    version: str


def encoded(report: Report) -> bytes:
    """Return the file's bytes: UTF-8, every element of a list on a separate line, so that grep and diff work."""
    return "".join(_pieces(report)).encode()


def _pieces(report: Report) -> Iterator[str]:
    separator = "{"
    for each in fields(report):
        value = getattr(report, each.name)
        yield f'{separator}\n"{each.name}": '
        separator = ","
        if isinstance(value, tuple) and value:
            yield "[\n" + ",\n".join(_json(element) for element in value) + "\n]"
        else:
            yield _json(value)
    yield "\n}\n"


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def write_report(path: Path, report: Report) -> None:
    """Write the file whole or not at all.

    Raises
    ------
    ReportError
        Where the folder cannot be made or the file cannot be written.
    """
    try:
        if path.is_dir():
            raise ReportError(f"the report cannot be written to {path}: it is a folder. Name a file in it.")
        write_whole(path, encoded(report))
    except OSError as error:
        raise ReportError(f"the report cannot be written to {path}: {error.strerror or error}.") from None


def read_report(path: Path) -> Report:
    """Read a file of this major version, and of no newer minor version.

    Raises
    ------
    ReportError
        Where the file cannot be read, is not a report, is damaged, or has another version.
    """
    if path.exists() and not path.is_file():  # a pipe can be read only once, and may never end
        raise ReportError(f"{path} cannot be read: it is not a file.")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ReportError(f"{path} cannot be read: {error.strerror or error}.") from None
    _refuse_other_version(path, *_version(path, content))
    try:
        report = msgspec.json.decode(content, type=Report)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ReportError(f"{path} is a damaged report: {error}. Run the checks again.") from None
    parts: tuple[Outcome | RunError | LedgerTotal, ...]
    parts = (*report.items, *report.overruled, *report.errors, *report.ledger)
    for part in parts:
        if not 0 <= part.run < len(report.runs):
            raise ReportError(
                f"{path} is a damaged report: it names run {part.run} but has {len(report.runs)} runs. Run the checks again."
            )
    return report


def _version(path: Path, content: bytes) -> tuple[int, int]:
    try:
        head = msgspec.json.decode(content, type=_Head)
        major, minor = (int(part) for part in head.version.split("."))
    except (msgspec.MsgspecError, ValueError) as error:
        raise ReportError(
            f"{path} is not a report ({error}); pytest --exportcheck --exportcheck-json writes one."
        ) from None
    if head.schema != SCHEMA:
        raise ReportError(f"{path} is not a report: its schema is {head.schema!r}, expected {SCHEMA!r}.")
    return major, minor


def _refuse_other_version(path: Path, major: int, minor: int) -> None:
    if major < MAJOR:
        raise ReportError(
            f"{path} has version {major}.{minor} of the report, and this pytest-exportcheck reads version {MAJOR}. "
            "Run the checks again, or read it with the version of pytest-exportcheck that wrote it."
        )
    if (major, minor) > (MAJOR, MINOR):
        raise ReportError(
            f"{path} has version {major}.{minor} of the report, and this pytest-exportcheck knows {MAJOR}.{MINOR}: "
            "what is new in it would be lost. Read it with the newest pytest-exportcheck that wrote one of the files."
        )


def json_schema() -> bytes:
    """Return the JSON Schema of the file, made from the types that write it."""
    return msgspec.json.format(msgspec.json.encode(msgspec.json.schema(Report)), indent=2) + b"\n"
