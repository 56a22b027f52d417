"""The frozen data that passes between the layers. Standard library only.

Tensors appear here as ``Any``: a record may hold one, but no record knows torch.
"""

from pytest_exportcheck.records.cases import Case, Expectation, Origin, Tolerance
from pytest_exportcheck.records.findings import (
    Check,
    Evidence,
    Finding,
    Outcome,
    Record,
    Status,
    Survival,
    Verdict,
)
from pytest_exportcheck.records.observations import Gradients, Inputs, Leaf, Observation, Raised, TensorFacts
from pytest_exportcheck.records.programs import (
    Alignment,
    ConstraintsRecord,
    DeclaredDim,
    GraphPair,
    GraphRecord,
    GraphRef,
    Interval,
    NodeRecord,
    NodeRef,
    NodeRun,
    Plain,
    ProgramRecord,
    SignatureRecord,
    Size,
    SpecRecord,
    Stopped,
    TensorValue,
)
from pytest_exportcheck.records.state import CallSpecRecord, StateEntry, StateKind, StateRecord

__all__ = [
    "Alignment",
    "CallSpecRecord",
    "Case",
    "Check",
    "ConstraintsRecord",
    "DeclaredDim",
    "Evidence",
    "Expectation",
    "Finding",
    "Gradients",
    "GraphPair",
    "GraphRecord",
    "GraphRef",
    "Inputs",
    "Interval",
    "Leaf",
    "NodeRecord",
    "NodeRef",
    "NodeRun",
    "Observation",
    "Origin",
    "Outcome",
    "Plain",
    "ProgramRecord",
    "Raised",
    "Record",
    "SignatureRecord",
    "Size",
    "SpecRecord",
    "StateEntry",
    "StateKind",
    "StateRecord",
    "Status",
    "Stopped",
    "Survival",
    "TensorFacts",
    "TensorValue",
    "Tolerance",
    "Verdict",
]
