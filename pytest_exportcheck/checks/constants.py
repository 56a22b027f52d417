"""Constants: the tensors and objects that a program carries in addition to the state of its module."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from pytest_exportcheck.checks.closeness import Rule
from pytest_exportcheck.checks.compare.tensors import differences, object_text, tensor_text
from pytest_exportcheck.harness.tensors import leaf_of, same_bits
from pytest_exportcheck.records import Evidence, Finding, Leaf, ObjectValue, ProgramRecord
from pytest_exportcheck.records.levels import ConstantsLevel

_BITS = Rule("bits", None, {})
_FINDING = Finding.of("constants")


def check(evidence: Evidence) -> list[Finding]:
    """Judge the constants as strictly as the contract says."""
    program, level = evidence.after.program, evidence.contract["constants"]
    if program is None:
        return []
    found = list(_named_in_signature(program))
    if level == "sane" or evidence.before.program is None:
        return found
    return [*found, *_LEVELS[level](evidence.before.program.constants, program.constants)]


def _text(value: Any) -> str:
    if isinstance(value, ObjectValue):
        return object_text(value)
    return tensor_text(value) if isinstance(value, torch.Tensor) else f"{type(value).__name__}"


def _named_in_signature(program: ProgramRecord) -> Iterator[Finding]:
    """Yield a finding for each constant that the signature names and the program lacks."""
    for spec in program.signature.inputs:
        if spec.kind in ("CONSTANT_TENSOR", "CUSTOM_OBJ") and spec.target not in program.constants:
            yield _FINDING.at(str(spec.target), "missing", "", f"a constant for input {spec.name}", "no such constant")


def _equal(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Finding]:
    for name, old in before.items():
        if name not in after:
            yield _FINDING.at(name, "dropped", "", _text(old), "no such constant")
            continue
        new = after[name]
        if type(old) is not type(new):
            yield _FINDING.at(name, "changed", "type", _text(old), _text(new))
        elif isinstance(old, ObjectValue):
            for difference in differences(Leaf(name, old), Leaf(name, new), _BITS):
                yield _FINDING.at(name, "changed", "value", difference.expected, difference.actual, difference.detail)
        elif isinstance(old, torch.Tensor):
            if old.requires_grad != new.requires_grad:
                yield _FINDING.at(
                    name,
                    "changed",
                    "requires_grad",
                    f"requires_grad={old.requires_grad}",
                    f"requires_grad={new.requires_grad}",
                )
            for difference in differences(leaf_of(name, old, clone=False), leaf_of(name, new, clone=False), _BITS):
                yield _FINDING.at(
                    name, "changed", difference.kind, difference.expected, difference.actual, difference.detail
                )
    for name, new in after.items():
        if name not in before:
            yield _FINDING.at(name, "added", "", "no such constant", _text(new))


def _values(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield a finding for each constant whose value is missing under every name."""
    there = [value for value in after.values() if isinstance(value, torch.Tensor)]
    for name, old in before.items():
        if isinstance(old, torch.Tensor) and not any(same_bits(old, new) for new in there):
            yield _FINDING.at(name, "dropped", "", _text(old), "no constant of this value")


_LEVELS: Mapping[ConstantsLevel, Callable[[Mapping[str, Any], Mapping[str, Any]], Iterator[Finding]]] = {
    "equal": _equal,
    "values": _values,
}
