"""The comparison of the records of two files by the checks, as strictly as the contract of an edge is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias, cast, get_args

from pytest_exportcheck.checks import align, run_checks
from pytest_exportcheck.difference.consequences import following_ids
from pytest_exportcheck.difference.files import ProgramFile, read_program_file
from pytest_exportcheck.difference.neighbours import nodes_around
from pytest_exportcheck.policy import ALIGNMENT, contract_for, fields_for, tolerated
from pytest_exportcheck.records import Evidence, Finding, ProgramRecord, Sort
from pytest_exportcheck.records.file_difference import FileDifference
from pytest_exportcheck.records.levels import Levels

EdgeContract: TypeAlias = Literal["serdes", "decompose", "retrace"]
CONTRACTS: tuple[EdgeContract, ...] = get_args(EdgeContract)

#: The checks that compare two programs without a call.
_OF_PROGRAMS = frozenset(
    {
        *("state", "constants", "constraints", "signature", "nodes", "metadata", "val", "call_spec", "module_calls"),
        *("examples", "verifiers"),
    }
)
#: The checks and the kinds of findings that do not count without ``metadata``: they are about names and notes.
_METADATA_CHECKS = frozenset({"metadata", "module_calls", "examples"})
_METADATA_SORTS: frozenset[Sort] = frozenset(
    {("nodes", "changed", "name"), ("signature", "changed", "name"), ("signature", "reordered", "state")}
)


def difference_of_files(
    old: Path, new: Path, *, program: str = "", contract: EdgeContract = "serdes", metadata: bool = False
) -> FileDifference:
    """Compare two files. ``program`` is the name of the program in files of several.

    Raises
    ------
    SerializationError
        Where a file cannot be read.
    """
    return difference(
        read_program_file(old, program), read_program_file(new, program), contract=contract, metadata=metadata
    )


def difference(
    old: ProgramFile, new: ProgramFile, *, contract: EdgeContract = "serdes", metadata: bool = False
) -> FileDifference:
    """Compare two programs as if the new one was made from the old one by an edge of this contract."""
    before, after = old.record, new.record
    paired = None
    if before.program is not None and after.program is not None:
        paired = align(before.program, after.program, ALIGNMENT[contract])
    evidence = Evidence(
        case=new.saved.program,
        engine="",
        mode=contract,
        stage=contract,
        before=before,
        after=after,
        contract=_levels(contract),
        fields=fields_for(contract),
        alignment=paired,
    )
    findings = _in_program_order(tolerated(run_checks(evidence), contract), before.program, after.program)
    counted = [each for each in findings if each.verdict != "tolerated" and (metadata or not _is_metadata(each))]
    following = following_ids(counted, before.program, after.program)
    ids = {id(each) for each in counted}
    return FileDifference(
        contract=contract,
        metadata=metadata,
        old=old.saved,
        new=new.saved,
        findings=tuple(each for each in counted if id(each) not in following),
        following=tuple(each for each in counted if id(each) in following),
        not_counted=tuple(each for each in findings if id(each) not in ids),
        nodes=nodes_around(paired, [each for each in counted if id(each) not in following]) if paired else (),
    )


def _levels(contract: EdgeContract) -> Levels:
    """Return the levels of the checks of programs. State is compared by value: two files share no storage."""
    levels = {check: level for check, level in contract_for(contract).items() if check in _OF_PROGRAMS}
    if contract == "decompose":  # two lowered programs, or two others, are compared as well
        levels["verifiers"] = "before or ATEN"
    return cast(Levels, {**levels, "state": "equal"})


def _is_metadata(finding: Finding) -> bool:
    return finding.check in _METADATA_CHECKS or finding.sort in _METADATA_SORTS


def _in_program_order(
    findings: Sequence[Finding], before: ProgramRecord | None, after: ProgramRecord | None
) -> list[Finding]:
    """Return the findings, those about nodes in the order of the nodes in their program."""
    positions = {"added": _positions(after), "": _positions(before)}

    def position(finding: Finding) -> float:
        known = positions["added" if finding.change == "added" else ""]
        return known.get(finding.place, 0.0) if finding.check in ("nodes", "val", "metadata") else 0.0

    return sorted(findings, key=position)


def _positions(program: ProgramRecord | None) -> dict[str, float]:
    """Return the part of the nodes that come before each node, by place."""
    graphs = program.graphs.values() if program else ()
    places = [graph.place(node) for graph in graphs for node in graph.nodes]
    return {place: number / len(places) for number, place in enumerate(places)}
