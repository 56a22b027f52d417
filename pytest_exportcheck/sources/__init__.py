"""Cases from elsewhere: ``SOURCE:NAME`` on the command line. One file each; a source is imported when it is asked for."""

from __future__ import annotations

from importlib import import_module

from pytest_exportcheck.errors import SelectionError
from pytest_exportcheck.records import Case

#: source -> module with ``cases(pattern) -> list[Case]``.
SOURCES = {"torchvision": "pytest_exportcheck.sources.torchvision"}


def cases_from(spec: str) -> list[Case]:
    """The cases that ``SOURCE:NAME`` stands for; a name may be a glob.

    Raises
    ------
    SelectionError
        For an unknown source, a name that the source does not have, or a package that is not installed.
    """
    source, colon, name = spec.partition(":")
    if source not in SOURCES:
        raise SelectionError(f"unknown source {source!r} in {spec!r}. Sources: {', '.join(SOURCES)}.")
    if not colon or not name:
        raise SelectionError(f"source {spec!r} names no model: write {source}:NAME, for example {source}:resnet18.")
    cases: list[Case] = import_module(SOURCES[source]).cases(name)
    return cases
