"""What an edge may lose: tolerated, and reported in the ledger.

Rows apply to findings by ``check.field``; node metadata has its own table (``METADATA``), in which a key without a level is lost.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from pytest_exportcheck.errors import SelectionError
from pytest_exportcheck.policy.contract import COLUMN, JUDGED, JUDGED_AT, METADATA, column_of
from pytest_exportcheck.records import Finding, Verdict


@dataclass(frozen=True)
class Lost:
    """A field (glob on ``check.field``) that the stages of a column (glob) may lose, and why. ``inherited``: the stages
    that come after them in a mode may lose it too."""

    field: str
    column: str
    reason: str
    inherited: bool = False


LOST: tuple[Lost, ...] = (
    Lost("val.storage_offset", "*", "fake tensors are made anew without it"),
    Lost("val.output", "*", "a loader may give the output node a value"),
    Lost("signature.constant_persistent", "*", "means nothing for a constant"),
    Lost("signature.state_order", "decompose", "state that no state_dict holds moves behind the rest"),
    Lost("constraints.widened", "capture", "a program may accept more than was declared"),
    Lost("constraints.widened", "postdispatch", "a program may accept more than was declared"),
    Lost("nodes.order", "serdes", "a loader may put independent operations in another order"),
    Lost("nodes.unused_result_added", "*", "a step may name the results of an operation that nobody uses"),
    Lost(
        "nodes.unused_result_dropped", "retrace", "a capture need not name the results of an operation that nobody uses"
    ),
    Lost("module_calls.stateless_dropped", "retrace", "the module made of a program has no submodules without state"),
    Lost(
        "module_calls.made_by_the_capture_added", "retrace", "subgraphs are submodules of the module made of a program"
    ),
    Lost("module_calls.order", "retrace", "entries come in the order of the modules or of the calls"),
    Lost("state.unwrapped", "decompose", "lowering replaces a tensor subclass by the tensors that it wraps"),
    Lost("state.unwrapped", "postdispatch", "lowering replaces a tensor subclass by the tensors that it wraps"),
    Lost("state.stride_of_a_view", "unflatten", "unflatten copies buffers, and a copy of a view with gaps is dense"),
    Lost(
        "state.added_for_another_call", "unflatten", "a module that is called in two ways becomes two that share state"
    ),
    Lost(
        "gradients.*", "postdispatch", "the inference IR is below autograd: gradients are reported only", inherited=True
    ),
    Lost("gradients.raised", "decompose", "functional ATen need not be differentiable"),
    Lost(
        "effects.*_unread",
        "*",
        "forward() changes a value that a program keeps, and no output of the two calls depends on it",
    ),
    Lost("defaults.*", "*", "a program that is called under the defaults of its capture computes the same"),
    Lost("sizes.widened", "fuzz", "a program may accept more than was declared, and compute what eager computes"),
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
        return fnmatchcase(field, self.field) and (
            fnmatchcase(stage, self.stage) or fnmatchcase(column_of(stage), self.stage)
        )


_STAGES = (*COLUMN, *(column for column in JUDGED_AT if column not in COLUMN))


@dataclass(frozen=True)
class Overrides:
    """What a repo allows to be lost, and what it forbids; a field that is named in both is forbidden."""

    allow: tuple[Override, ...] = ()
    forbid: tuple[Override, ...] = ()

    @staticmethod
    def of(allow: Iterable[str], forbid: Iterable[str]) -> Overrides:
        return Overrides(tuple(map(Override.of, allow)), tuple(map(Override.of, forbid)))


NO_OVERRIDES = Overrides()

#: What "must not be lost" means for a key of node metadata that has no level of its own.
_STRICTEST: Mapping[str, str] = {"decompose": "kept", "serdes": "equal", "retrace": "equal"}


def fields_for(stage: str, overrides: Overrides = NO_OVERRIDES) -> dict[str, str]:
    """Key of node metadata -> how strictly it is judged at this stage."""
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
    """The findings; those that this stage may lose are ``lost``. The repo's own words come before the table. ``path`` is
    the mode that the stage ends."""
    return [replace(finding, verdict=_verdict(finding, stage, overrides, path)) for finding in findings]


def _verdict(finding: Finding, stage: str, overrides: Overrides, path: Collection[str]) -> Verdict:
    if _named(overrides.forbid, finding.name, stage):
        return "broken"
    if _named(overrides.allow, finding.name, stage):
        return "lost"
    column = column_of(stage)
    earlier = {column_of(each) for each in path}
    lost = any(
        fnmatchcase(finding.name, row.field)
        and any(fnmatchcase(each, row.column) for each in ({column} | earlier if row.inherited else {column}))
        for row in LOST
    )
    return "lost" if lost else finding.verdict


def _named(words: Sequence[Override], field: str, stage: str) -> bool:
    return any(word.names(field, stage) for word in words)
