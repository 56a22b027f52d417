"""Tolerated losses: what an edge may lose, reported in the ledger.

Node metadata has its own table (``METADATA``), in which a key without a level is tolerated.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from pytest_exportcheck.errors import SelectionError
from pytest_exportcheck.policy.contract import COLUMN, JUDGED, JUDGED_AT, METADATA, column_of
from pytest_exportcheck.records import FIELDS, Change, Finding, Verdict
from pytest_exportcheck.records.levels import MetadataLevel


@dataclass(frozen=True, kw_only=True)
class Tolerated:
    """Findings of a check that the stages of some columns may have, and why. Empty ``changes``, ``keys`` and
    ``columns`` match all. ``inherited``: the stages after them in a mode may have the findings too.
    """

    check: str
    reason: str
    changes: tuple[Change, ...] = ()
    keys: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    inherited: bool = False

    def allows(self, finding: Finding, columns: Collection[str]) -> bool:
        """Return True if a finding is one of them, at a stage of one of these columns."""
        return (
            finding.check == self.check
            and (not self.changes or finding.change in self.changes)
            and (not self.keys or finding.key in self.keys)
            and (not self.columns or not set(self.columns).isdisjoint(columns))
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Return ``check.field`` for every field that the row tolerates."""
        fields = [
            field
            for (change, key), field in FIELDS[self.check].items()
            if (not self.changes or change in self.changes) and (not self.keys or key in self.keys)
        ]
        return tuple(dict.fromkeys(f"{self.check}.{field}" for field in fields))


TOLERATED: tuple[Tolerated, ...] = (
    Tolerated(
        check="outputs",
        changes=("changed",),
        keys=("stride",),
        columns=("compiled",),
        reason="a runtime chooses the layout of its outputs",
    ),
    Tolerated(
        check="val",
        changes=("changed",),
        keys=("storage_offset",),
        reason="fake tensors are made again without it",
    ),
    Tolerated(
        check="val",
        changes=("changed",),
        keys=("output",),
        reason="a loader may give the output node a value",
    ),
    Tolerated(
        check="signature",
        changes=("changed",),
        keys=("constant_persistent",),
        reason="means nothing for a constant",
    ),
    Tolerated(
        check="signature",
        changes=("reordered",),
        keys=("state",),
        columns=("decompose",),
        reason="state that is not in a state_dict moves after the rest",
    ),
    Tolerated(
        check="constraints",
        changes=("widened",),
        keys=("",),
        columns=("capture", "postdispatch"),
        reason="a program may accept more than was declared",
    ),
    Tolerated(
        check="constraints",
        changes=("dropped",),
        keys=("unused_range",),
        columns=("decompose",),
        reason="a symbol that became an expression of others has the range of that expression",
    ),
    Tolerated(
        check="nodes",
        changes=("reordered",),
        columns=("serdes",),
        reason="a loader may put independent operations in another order",
    ),
    Tolerated(
        check="nodes",
        changes=("added",),
        keys=("unused_result",),
        reason="a stage may name unused results of an operation",
    ),
    Tolerated(
        check="nodes",
        changes=("dropped",),
        keys=("unused_result",),
        columns=("retrace",),
        reason="a capture may leave unused results of an operation unnamed",
    ),
    Tolerated(
        check="module_calls",
        changes=("dropped",),
        keys=("stateless",),
        columns=("retrace",),
        reason="the module made of a program has no submodules without state",
    ),
    Tolerated(
        check="module_calls",
        changes=("added",),
        keys=("made_by_the_capture",),
        columns=("retrace",),
        reason="subgraphs are submodules of the module made of a program",
    ),
    Tolerated(
        check="module_calls",
        changes=("reordered",),
        columns=("retrace",),
        reason="entries come in the order of the modules or of the calls",
    ),
    Tolerated(
        check="state",
        changes=("unwrapped",),
        columns=("decompose", "postdispatch"),
        reason="lowering replaces a tensor subclass by the tensors that it wraps",
    ),
    Tolerated(
        check="state",
        changes=("changed",),
        keys=("stride_of_a_view",),
        columns=("unflatten",),
        reason="unflatten copies buffers, and a copy of a view with gaps is dense",
    ),
    Tolerated(
        check="state",
        changes=("added",),
        keys=("another_call",),
        columns=("unflatten",),
        reason="a module that is called in two ways becomes two that share state",
    ),
    Tolerated(
        check="gradients",
        columns=("postdispatch",),
        reason="the inference IR is below autograd: gradients are reported only",
        inherited=True,
    ),
    Tolerated(
        check="gradients",
        changes=("raised",),
        columns=("decompose",),
        reason="functional ATen does not have to be differentiable",
    ),
    Tolerated(
        check="effects",
        changes=("unread",),
        reason="forward() changes a value that a program keeps, and no output of the two calls depends on it",
    ),
    Tolerated(
        check="defaults",
        changes=("defaulted",),
        reason="a program that is called under the defaults of its capture computes the same",
    ),
    Tolerated(
        check="sizes",
        changes=("widened",),
        columns=("fuzz",),
        reason="a program may accept more than was declared, and compute what eager computes",
    ),
)


@dataclass(frozen=True)
class Override:
    """A word of ``exportcheck_allow`` or ``exportcheck_forbid``: a glob on ``check.field``, for one stage or all."""

    field: str
    stage: str = "*"

    @staticmethod
    def of(word: str) -> Override:
        """Read ``check.field`` or ``stage:check.field``.

        Raises
        ------
        SelectionError
            For a word without a dot, or a stage or check that does not exist.
        """
        stage, colon, field = word.rpartition(":")
        check = field.partition(".")[0]
        if "." not in field or not any(fnmatchcase(name, check) for name in JUDGED):
            raise SelectionError(
                f"{word!r} names no field. Write check.field or stage:check.field, such as serdes:metadata.custom. "
                f"Checks: {', '.join(JUDGED)}."
            )
        if colon and not any(fnmatchcase(name, stage) for name in _STAGES):
            raise SelectionError(f"{word!r} names no stage. Stages: {', '.join(_STAGES)}.")
        return Override(field, stage if colon else "*")

    def names(self, field: str, stage: str) -> bool:
        """Return whether the override is about this field at this stage."""
        return fnmatchcase(field, self.field) and (
            fnmatchcase(stage, self.stage) or fnmatchcase(column_of(stage), self.stage)
        )


_STAGES = (*COLUMN, *(column for column in JUDGED_AT if column not in COLUMN))


@dataclass(frozen=True)
class Overrides:
    """The fields that a repo tolerates, and those that it forbids; a field that is named in both is forbidden."""

    allow: tuple[Override, ...] = ()
    forbid: tuple[Override, ...] = ()

    @staticmethod
    def of(allow: Iterable[str], forbid: Iterable[str]) -> Overrides:
        """Read the words of the two ini options."""
        return Overrides(tuple(map(Override.of, allow)), tuple(map(Override.of, forbid)))


NO_OVERRIDES = Overrides()

#: The strictest level of a stage for a key of node metadata without a level.
_STRICTEST: Mapping[str, MetadataLevel] = {"decompose": "kept", "serdes": "equal", "retrace": "equal"}


def fields_for(stage: str, overrides: Overrides = NO_OVERRIDES) -> dict[str, MetadataLevel]:
    """Return by key of node metadata how strictly it is judged at this stage."""
    column = column_of(stage)
    levels = {
        key: row[column]
        for key, row in METADATA.items()
        if column in row and not _named(overrides.allow, f"metadata.{key}", stage)
    }
    for word in overrides.forbid:
        check, _, key = word.field.partition(".")
        if check == "metadata" and column in _STRICTEST and word.names(word.field, stage):
            matching = [name for name in METADATA if fnmatchcase(name, key)] or [key]
            levels.update({name: METADATA.get(name, {}).get(column, _STRICTEST[column]) for name in matching})
    return levels


def tolerated(
    findings: Iterable[Finding], stage: str, overrides: Overrides = NO_OVERRIDES, *, path: Collection[str] = ()
) -> list[Finding]:
    """Return the findings; those that this stage may lose are ``tolerated``. The repo's own settings come before the
    table. ``path`` is the mode that the stage ends.
    """
    return [replace(finding, verdict=_verdict(finding, stage, overrides, path)) for finding in findings]


def _verdict(finding: Finding, stage: str, overrides: Overrides, path: Collection[str]) -> Verdict:
    if _named(overrides.forbid, finding.name, stage):
        return "broken"
    if _named(overrides.allow, finding.name, stage):
        return "tolerated"
    column = column_of(stage)
    earlier = {column_of(each) for each in path}
    allowed = any(row.allows(finding, {column} | earlier if row.inherited else {column}) for row in TOLERATED)
    return "tolerated" if allowed else finding.verdict


def _named(words: Sequence[Override], field: str, stage: str) -> bool:
    return any(word.names(field, stage) for word in words)
