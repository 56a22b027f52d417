"""State of a tensor subclass that lowering replaces by the tensors that it wraps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch

from pytest_exportcheck.harness.tensors import parts_of, storage_key
from pytest_exportcheck.records import Finding, SignatureRecord, StateEntry, StateRecord

#: Names that torch gives the tensors that the parameter or buffer NAME of a module wraps:
#: ``parametrizations.NAME.original0``.
_PART = re.compile(r"(?P<module>(?:.*\.)?)parametrizations\.(?P<name>[^.]+)\.original(?P<number>\d+)")


def unwrapped_names(before: StateRecord | None, after: StateRecord | None) -> dict[str, list[str]]:
    """Map the name of a tensor before to the names of the tensors after that together hold its parts, bit for bit.

    A name is in the result only if every part is there, no other tensor is, and the program no longer has the name
    itself.
    """
    if before is None or after is None:
        return {}
    groups: dict[str, list[StateEntry]] = {}
    for entry in after.entries.values():
        match = _PART.fullmatch(entry.name)
        if match and entry.name not in before.entries:
            groups.setdefault(match["module"] + match["name"], []).append(entry)
    return {
        name: [entry.name for entry in found]
        for name, found in groups.items()
        if name in before.entries and name not in after.entries and _hold_the_parts(before.entries[name], found)
    }


def _hold_the_parts(entry: StateEntry, found: list[StateEntry]) -> bool:
    """Return True if the tensors are the parts of a wrapper subclass, in any order."""
    parts = [part for _, part in parts_of(entry.value)]
    rest = list(found)
    for part in parts:
        match = next((each for each in rest if _is_part(part, each, entry)), None)
        if match is None:
            return False
        rest.remove(match)
    return len(parts) > 0 and not rest


def _is_part(part: torch.Tensor, candidate: StateEntry, entry: StateEntry) -> bool:
    value = candidate.value
    if candidate.kind != entry.kind or not isinstance(value, torch.Tensor) or value.shape != part.shape:
        return False
    if value.dtype != part.dtype or value.device != part.device:
        return False
    same = storage_key(value) == storage_key(part) and value.stride() == part.stride()
    return bool(same and value.storage_offset() == part.storage_offset())


def unwrapped_findings(names: Mapping[str, list[str]]) -> Iterator[Finding]:
    """Yield one finding for each tensor that was unwrapped."""
    for name, parts in names.items():
        texts = "one tensor of a subclass", ", ".join(parts), "the tensors that it wraps, as they are"
        yield Finding.of("state").at(name, "unwrapped", "", *texts)


def without(record: StateRecord, names: Mapping[str, list[str]]) -> StateRecord:
    """Return the record without tensors that were unwrapped, and without their parts."""
    left_out = {*names, *(part for parts in names.values() for part in parts)}
    if not left_out:
        return record
    return replace(
        record,
        entries={name: entry for name, entry in record.entries.items() if name not in left_out},
        order=tuple(name for name in record.order if name not in left_out),
    )


def signature_without(signature: SignatureRecord, names: Mapping[str, list[str]]) -> SignatureRecord:
    """Return the signature without the inputs for tensors that were unwrapped, and without those for their parts."""
    left_out = {*names, *(part for parts in names.values() for part in parts)}
    return replace(signature, inputs=tuple(spec for spec in signature.inputs if spec.target not in left_out))
