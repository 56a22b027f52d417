"""The levels of the contract: how strictly each check may judge."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias, TypedDict, cast

#: ``rounding`` is within eager's own; ``structure`` type, shape and dtype only.
ValueLevel: TypeAlias = Literal["bits", "close", "rounding", "structure"]
AliasingLevel: TypeAlias = Literal["equal"]
GradientsLevel: TypeAlias = Literal["bits", "close", "values", "report", "rounding"]
StateLevel: TypeAlias = Literal["the same", "equal", "as the module"]
ConstantsLevel: TypeAlias = Literal["sane", "equal", "values"]
ConstraintsLevel: TypeAlias = Literal["declared", "lowered", "equal", "accepts"]
SignatureLevel: TypeAlias = Literal["sane", "inputs", "equal", "kinds"]
NodesLevel: TypeAlias = Literal["sane", "equal", "sequence"]
MetadataLevel: TypeAlias = Literal["present", "kept", "equal", "paths"]
ValLevel: TypeAlias = Literal["run", "equal"]
CallSpecLevel: TypeAlias = Literal["equal"]
ModuleCallsLevel: TypeAlias = Literal["equal", "submodules"]
ExamplesLevel: TypeAlias = Literal["given", "equal"]
VerifiersLevel: TypeAlias = Literal["TRAINING", "ATEN", "equal", "captured", "before or ATEN"]
DefaultsLevel: TypeAlias = Literal["explicit"]
RejectsLevel: TypeAlias = Literal["refused"]
StabilityLevel: TypeAlias = Literal["repeated"]


class Levels(TypedDict, total=False):
    """Check -> how strictly it judges a stage. A check that is missing does not judge the stage."""

    outputs: ValueLevel
    effects: ValueLevel
    aliasing: AliasingLevel
    gradients: GradientsLevel
    state: StateLevel
    constants: ConstantsLevel
    constraints: ConstraintsLevel
    signature: SignatureLevel
    nodes: NodesLevel
    metadata: MetadataLevel
    val: ValLevel
    call_spec: CallSpecLevel
    module_calls: ModuleCallsLevel
    examples: ExamplesLevel
    verifiers: VerifiersLevel
    defaults: DefaultsLevel
    rejects: RejectsLevel
    stability: StabilityLevel


def all_at(checks: Iterable[str], level: Literal["bits", "close", "rounding"]) -> Levels:
    """Return one level for several checks of values."""
    return cast(Levels, dict.fromkeys(checks, level))
