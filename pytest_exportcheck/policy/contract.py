"""The contract table: the checks that each edge must pass, and how strictly.

Rows are checks, columns are stages (several share one). Source: measured on 21 ordinary models, train and eval, torch
2.13.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal, TypedDict, TypeVar, cast

from pytest_exportcheck.modes import AGREE, RUNTIMES
from pytest_exportcheck.records import Finding, Tolerance
from pytest_exportcheck.records.levels import (
    AliasingLevel,
    CallSpecLevel,
    ConstantsLevel,
    ConstraintsLevel,
    DefaultsLevel,
    ExamplesLevel,
    GradientsLevel,
    Levels,
    MetadataLevel,
    ModuleCallsLevel,
    NodesLevel,
    RejectsLevel,
    SignatureLevel,
    StabilityLevel,
    StateLevel,
    ValLevel,
    ValueLevel,
    VerifiersLevel,
    all_at,
)

_Level = TypeVar("_Level", bound=str)

#: Stages that share a column.
COLUMN = {
    "nonstrict": "capture",
    "strict": "capture",
    "nonstrict_postdispatch": "postdispatch",
    "strict_postdispatch": "postdispatch",
    "interop": "serdes",
    **dict.fromkeys(RUNTIMES, "compiled"),
    "reload": "reloaded",
}

COLUMNS = ("capture", "postdispatch", "decompose", "serdes", "retrace", "unflatten", "reloaded", "compiled")


def _row(*levels: _Level | Literal["-"]) -> Mapping[str, _Level]:
    """Return the levels of a row in the order of the columns; a dash is not judged."""
    return {column: level for column, level in zip(COLUMNS, levels, strict=True) if level != "-"}


class _Table(TypedDict):
    """The contract: a row of levels for each check, by column."""

    outputs: Mapping[str, ValueLevel]
    effects: Mapping[str, ValueLevel]
    aliasing: Mapping[str, AliasingLevel]
    gradients: Mapping[str, GradientsLevel]
    state: Mapping[str, StateLevel]
    constants: Mapping[str, ConstantsLevel]
    constraints: Mapping[str, ConstraintsLevel]
    signature: Mapping[str, SignatureLevel]
    nodes: Mapping[str, NodesLevel]
    metadata: Mapping[str, MetadataLevel]
    val: Mapping[str, ValLevel]
    call_spec: Mapping[str, CallSpecLevel]
    module_calls: Mapping[str, ModuleCallsLevel]
    examples: Mapping[str, ExamplesLevel]
    verifiers: Mapping[str, VerifiersLevel]
    defaults: Mapping[str, DefaultsLevel]
    rejects: Mapping[str, RejectsLevel]
    stability: Mapping[str, StabilityLevel]


#: check -> column -> how strict. A missing entry means: not judged there.
#:
#: Below autograd composite operators take other kernels (an LSTM's outputs move by 6e-8; eager's own move by 3e-8
#: without grad), so ``postdispatch`` is compared closely, not bit by bit.
_TABLE: _Table = {
    #                  capture          postdispatch     decompose   serdes   retrace     unflatten     reloaded  compiled
    "outputs": _row("bits", "close", "close", "bits", "bits", "bits", "bits", "close"),
    "effects": _row("bits", "close", "close", "bits", "bits", "bits", "bits", "close"),
    "aliasing": _row("equal", "equal", "equal", "equal", "equal", "equal", "-", "-"),
    "gradients": _row("bits", "report", "values", "bits", "bits", "bits", "-", "-"),
    "state": _row("the same", "the same", "the same", "equal", "as the module", "as the module", "-", "-"),
    "constants": _row("sane", "sane", "equal", "equal", "values", "-", "-", "-"),
    "constraints": _row("declared", "declared", "lowered", "equal", "accepts", "-", "-", "-"),
    "signature": _row("sane", "sane", "inputs", "equal", "kinds", "-", "-", "-"),
    "nodes": _row("sane", "sane", "-", "equal", "sequence", "-", "-", "-"),
    "metadata": _row("present", "present", "kept", "equal", "paths", "-", "-", "-"),
    "val": _row("run", "run", "run", "equal", "run", "-", "-", "-"),
    "call_spec": _row("equal", "equal", "equal", "equal", "equal", "-", "-", "-"),
    "module_calls": _row("-", "-", "equal", "equal", "equal", "submodules", "-", "-"),
    "examples": _row("given", "given", "equal", "equal", "-", "-", "-", "-"),
    "verifiers": _row("TRAINING", "ATEN", "ATEN", "equal", "captured", "-", "-", "-"),
    "defaults": _row("explicit", "explicit", "-", "-", "-", "-", "-", "-"),
    "rejects": _row("refused", "refused", "refused", "refused", "refused", "-", "refused", "refused"),
    "stability": _row("-", "-", "-", "repeated", "repeated", "-", "-", "-"),
}

#: The same table, for code that looks checks up by name.
CONTRACT: Mapping[str, Mapping[str, str]] = cast(Mapping[str, Mapping[str, str]], _TABLE)

#: Checks that can be judged. Sizes are drawn after a mode, which is not a stage and has no column.
JUDGED = (*CONTRACT, "sizes")
JUDGED_AT = (*COLUMNS, "fuzz", AGREE)

#: Rules for pairing the nodes before and after a stage.
ALIGNMENT: Mapping[str, str] = {"decompose": "origin", "serdes": "names", "retrace": "sequence"}

#: Level at which each key of node metadata is judged. A key without a row is ``tolerated`` everywhere: only the ledger
#: shows it. On nodes that are not calls a key goes by the node's kind: ``placeholder.custom``.
#: ``present``: there, and valid. ``kept``: as on the node that this one was made from; annotations may be added.
#: ``paths``: paths and types only.
METADATA: Mapping[str, Mapping[str, MetadataLevel]] = {
    "stack_trace": _row("present", "present", "kept", "equal", "-", "-", "-", "-"),
    "nn_module_stack": _row("present", "present", "paths", "equal", "paths", "-", "-", "-"),
    "torch_fn": _row("present", "present", "-", "equal", "-", "-", "-", "-"),
    "from_node": _row("-", "-", "-", "equal", "-", "-", "-", "-"),
    "source_fn_stack": _row("-", "-", "-", "equal", "-", "-", "-", "-"),
    "unbacked_bindings": _row("-", "-", "-", "equal", "-", "-", "-", "-"),
    "custom": _row("-", "-", "kept", "equal", "-", "-", "-", "-"),
    "placeholder.custom": _row("-", "-", "kept", "equal", "-", "-", "-", "-"),
    "placeholder.requires_grad": _row("-", "-", "equal", "equal", "equal", "-", "-", "-"),
    "output.custom": _row("-", "-", "-", "equal", "-", "-", "-", "-"),
}

#: Largest distance of a "close" tensor from the expected one: relative to its largest absolute value, and absolute.
#: Measured: decomposing a 12-layer transformer moves float32 outputs by 3e-7 of the largest value.
CLOSE: Mapping[str, Tolerance] = {
    "float64": Tolerance(rtol=1e-10, atol=1e-14),
    "complex128": Tolerance(rtol=1e-10, atol=1e-14),
    "float32": Tolerance(rtol=1e-5, atol=1e-7),
    "complex64": Tolerance(rtol=1e-5, atol=1e-7),
    "float16": Tolerance(rtol=4e-3, atol=1e-6),
    "bfloat16": Tolerance(rtol=3e-2, atol=1e-6),
}

#: Columns whose programs are for inference: what they compute is judged under ``torch.no_grad()``, theirs and that of
#: every program made of them; their gradients are reported only.
WITHOUT_GRAD = frozenset({"postdispatch"})
#: Factor of eager's own rounding: where eager also runs in float64, "close" allows this many times the distance of the
#: two runs, if that is more. Measured: attention key biases, whose true gradient is zero, move by 0.6 to 2.6 times it
#: when decomposed; outputs by up to 2.8.
OWN_ROUNDING = 4

#: The unit roundoff of each dtype that eager is compared with float64 in.
UNIT_ROUNDOFF: Mapping[str, float] = {
    "float32": 2**-24,
    "complex64": 2**-24,
    "float16": 2**-11,
    "bfloat16": 2**-8,
}

#: A distance from float64 counts as rounding up to this many unit roundoffs of the largest value of the call (of the
#: largest gradient of the model), or up to the bound of ``CLOSE``. A larger distance comes from a decision that is
#: different in float64, and allows nothing.
BELIEVED_ROUNDOFFS = 8

#: In a gradient with fewer elements than this, the largest distance is not reliable: it counts as at least this many
#: unit roundoffs of the largest gradient. Measured: 4 to 8 key biases move by up to 9 times their distance from
#: float64, and by 0.45 roundoffs.
FEW_ELEMENTS, LEAST_ROUNDOFFS = 16, 1 / 8

#: A gradient is zero in exact arithmetic where float64 has no more than this part of the largest gradient: only such a
#: gradient has that minimum.
ZERO_GRADIENT = 2**-30

#: Findings of these checks block the stages after the mode.
BLOCKING = frozenset({"outputs", "effects"})


def is_known_layout(finding: Finding) -> bool:
    """Return True if a known defect explains the finding, and it is only about strides: the values are right, so that
    users may ship the program, and the stages after it can be judged.
    """
    return finding.verdict == "known" and finding.check == "outputs" and finding.key == "stride"


def column_of(stage: str) -> str:
    """Return the column of the contract table that a stage is judged by."""
    return COLUMN.get(stage, stage)


def without_grad(stages: Collection[str]) -> bool:
    """Return True if a mode of these stages is judged under ``torch.no_grad()``."""
    return any(column_of(stage) in WITHOUT_GRAD for stage in stages)


#: The contract of an edge that a hook adds: the edge may copy the program, and need not lower it.
ADDED: Mapping[str, Levels] = {"decompose": {"state": "equal", "verifiers": "before or ATEN"}}


def contract_for(
    stage: str, *, unstable: Collection[str] = (), path: Collection[str] = (), added: bool = False
) -> Levels:
    """Return the column of the contract table for a stage; for checks of which eager itself is not bit-stable, bits
    become closeness. ``path`` is the mode that the stage ends: gradients of inference programs are reported only.
    ``added``: the stage is an edge that a hook added, and is judged as such.
    """
    column = column_of(stage)
    levels = {check: row[column] for check, row in CONTRACT.items() if column in row}
    levels |= cast(Mapping[str, str], ADDED.get(column, {}) if added else {})
    if "gradients" in levels and without_grad(path):
        levels["gradients"] = "report"
    loosened = {check: "close" if level == "bits" and check in unstable else level for check, level in levels.items()}
    return cast(Levels, loosened)


#: Checks of calls, by which the captures of two engines are compared with each other.
_SHOWN_BY_CALLS = ("outputs", "effects", "aliasing", "gradients", "call_spec")


def agreement_for(capture: str, *, unstable: Collection[str] = ()) -> Levels:
    """Return how strictly the captures of two engines are compared with each other: as strictly as with eager."""
    levels = contract_for(capture, unstable=unstable)
    return cast(Levels, {check: level for check, level in levels.items() if check in _SHOWN_BY_CALLS})


def loosest(stages: Collection[str], checks: Collection[str], *, unstable: Collection[str] = ()) -> Levels:
    """Return how strictly these checks may compare eager with the programs of several stages: close, if one of them
    is.
    """
    levels = [contract_for(stage, unstable=unstable) for stage in stages]
    close = {check for check in checks if any(each.get(check) == "close" for each in levels)}
    return all_at(sorted(close), "close") | all_at(sorted(set(checks) - close), "bits")
