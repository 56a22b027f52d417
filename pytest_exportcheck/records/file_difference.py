"""The difference of two saved programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pytest_exportcheck.records.findings import Finding

FILE_DIFFERENCE = "exportcheck-difference"

#: The version of the file that ``exportcheck diff --json`` writes.
#:
#: - 1.0, 28 November 2026: the first version.
FILE_DIFFERENCE_VERSION = "1.0"


@dataclass(frozen=True, kw_only=True)
class SavedProgram:
    """A program in a file, and who wrote it. ``nodes`` counts those of subgraphs as well; ``notes`` say what could not
    be read.
    """

    file: str
    program: str
    torch: str
    schema: str
    opsets: Mapping[str, int]
    nodes: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ComparedNode:
    """A node of either program, next to a difference or with one. ``inputs`` are names of such nodes and of others; a
    removed node whose name the new program has too is called ``NAME (old)``.
    """

    name: str
    operator: str
    inputs: tuple[str, ...]
    mark: Literal["", "differs", "added", "removed"] = ""


@dataclass(frozen=True, kw_only=True)
class FileDifference:
    """The differences of two programs, by the contract of an edge. ``findings`` count; ``following`` are those that
    follow from them, such as the value of a node whose argument differs; ``not_counted`` are tolerated by the contract, or are about names
    and metadata. ``nodes`` are the nodes of the outermost graph that differ, with their neighbours.
    """

    schema: str = FILE_DIFFERENCE
    version: str = FILE_DIFFERENCE_VERSION
    contract: str
    metadata: bool
    old: SavedProgram
    new: SavedProgram
    findings: tuple[Finding, ...] = ()
    following: tuple[Finding, ...] = ()
    not_counted: tuple[Finding, ...] = ()
    nodes: tuple[ComparedNode, ...] = ()
