"""Differences that follow from others: a reader who knows those expects them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_exportcheck.checks.compare.alignment import refs
from pytest_exportcheck.records import Finding, ProgramRecord

_STATE = ("PARAMETER", "BUFFER", "CONSTANT_TENSOR", "CUSTOM_OBJ")
_GONE_OR_NEW = ("dropped", "added")


def following_ids(findings: Sequence[Finding], before: ProgramRecord | None, after: ProgramRecord | None) -> set[int]:
    """Return the identities of the findings that follow from others."""
    if before is None or after is None:
        return set()
    return {*_values(findings, before), *_placeholders(findings), *_inputs(findings, before, after)}


def _values(findings: Sequence[Finding], program: ProgramRecord) -> Iterator[int]:
    """Yield the findings about the val of a node that differs in a field in which an argument of the node differs."""
    vals = {(each.place, each.key): id(each) for each in findings if each.check == "val" and each.change == "changed"}
    keys: dict[str, list[str]] = {}
    for place, key in vals:
        keys.setdefault(place, []).append(key)
    for graph in program.graphs.values() if vals else ():
        for node in graph.nodes:
            for key in keys.get(graph.place(node), ()):
                from_outside = bool(graph.path) and node.op == "placeholder"
                places = (f"{graph.path}.{ref.name}".lstrip(".") for ref in refs(node))
                if from_outside or any((place, key) in vals for place in places):
                    yield vals[graph.place(node), key]


def _placeholders(findings: Sequence[Finding]) -> Iterator[int]:
    """Yield the findings about placeholders of the outermost graph that are gone or new: the signature has them."""
    for each in findings:
        is_input = each.subject == "placeholder" and "." not in each.place
        if each.check == "nodes" and each.change in _GONE_OR_NEW and is_input:
            yield id(each)


def _inputs(findings: Sequence[Finding], before: ProgramRecord, after: ProgramRecord) -> Iterator[int]:
    """Yield the findings about inputs of the signature, and about keys of the state_dict, whose weight or constant is
    gone or new.
    """
    weights = {each.place for each in findings if each.check in ("state", "constants") and each.change in _GONE_OR_NEW}
    targets = {
        f"inputs: {spec.name}": spec.target
        for program in (before, after)
        for spec in program.signature.inputs
        if spec.kind in _STATE
    }
    named = {each.place for each in findings if each.check == "state" and each.change in _GONE_OR_NEW and not each.key}
    for each in findings:
        is_input = each.check == "signature" and targets.get(each.place) in weights
        is_key = each.check == "state" and each.key == "state_dict" and each.place in named
        if each.change in _GONE_OR_NEW and (is_input or is_key):
            yield id(each)
