"""``val``: the metadata of a node's value, compared with a real run, and with the program before the stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pytest_exportcheck.checks.at_node import at_node
from pytest_exportcheck.checks.compare.alignment import refs
from pytest_exportcheck.checks.compare.rendering import node_text, value_text
from pytest_exportcheck.checks.compare.symbolic_sizes import same_size, value_at
from pytest_exportcheck.records import (
    Cause,
    Change,
    Evidence,
    Finding,
    GraphRecord,
    Interval,
    NodeRecord,
    NodeRun,
    ProgramRecord,
    Size,
    TensorValue,
)

_FINDING = Finding.of("val")


def check(evidence: Evidence) -> list[Finding]:
    """Compare with the values that nodes yielded when the program ran, or pair by pair with before."""
    program = evidence.after.program
    if program is None:
        return []
    if evidence.contract["val"] == "run":
        return [finding for run in program.runs for finding in _against_run(program, run)]
    if evidence.before.program is None or evidence.alignment is None:
        return []
    return list(_against_before(evidence, evidence.before.program.constraints.ranges))


def _finding(graph: GraphRecord, node: NodeRecord, field: str, expected: Any, actual: Any, detail: str) -> Finding:
    """Make a finding of a difference that :func:`val_differences` names."""
    change: Change = "missing" if field == "missing" else "gained" if field == "gained" else "changed"
    key = field if change == "changed" else ""
    texts = _text(expected), _text(actual), detail
    return at_node(_FINDING, graph, node, change, key, *texts, causes=tuple(_formats(field, expected)))


def _formats(field: str, stride: Any) -> Iterator[Cause]:
    """Name the memory format that a stride shows."""
    if field == "stride" and isinstance(stride, tuple) and len(stride) == 5 and stride[1] == 1:
        yield Cause("memory_format", "channels_last_3d")


def _text(value: Any) -> str:
    """Render shapes and strides in brackets, as code writes them, and other values as usual."""
    plain = isinstance(value, tuple) and not any(isinstance(each, (tuple, TensorValue)) for each in value)
    return f"[{', '.join(map(str, value))}]" if plain else value_text(value)


# --- against a real run ---------------------------------------------------------------------


def _against_run(program: ProgramRecord, run: NodeRun) -> Iterator[Finding]:
    """Yield the differences from a real run; a wrong val that only follows from another one is not a separate
    finding.
    """
    known = dict(run.sizes)
    for graph in program.graphs.values():
        wrong: set[tuple[str, str]] = set()
        for node in graph.nodes:
            real = run.values.get(graph.place(node)) if "interpreter_level" not in node.facts else None
            detail = f"val of {node_text(node)}, {run.label}"
            for field, yielded, said in _run_differences(real, node.val, known):
                inherited = any((ref.name, field) in wrong for ref in refs(node))
                wrong.add((node.name, field))
                if not inherited:
                    yield _finding(graph, node, field, yielded, said, detail)


def _run_differences(real: Any, said: Any, known: dict[str, int]) -> Iterator[tuple[str, Any, Any]]:
    """Yield the differences between a real value and its val. Unbacked symbols take their value where they first are a
    whole size.
    """
    if real is None:
        return
    if isinstance(real, TensorValue):
        if said is None:
            yield "missing", real, "none"
        elif isinstance(said, TensorValue):
            yield from _tensor_run(real, said, known)
        else:
            yield "type", real, said
    elif isinstance(real, tuple):
        if not isinstance(said, tuple) or len(said) != len(real):
            yield ("missing" if said is None else "length"), real, "none" if said is None else said
            return
        for one, other in zip(real, said, strict=True):
            yield from _run_differences(one, other, known)
    elif isinstance(said, (Size, int, bool)) and not isinstance(real, float):
        _learn(said, int(real), known)
        expected = value_at(said if isinstance(said, Size) else int(said), known)
        if expected is not None and expected != int(real):
            yield "value", real, said
    elif said is None:
        yield "missing", real, "none"
    elif not isinstance(real, float) or isinstance(said, (tuple, TensorValue)):
        yield "type", real, said


def _tensor_run(real: TensorValue, said: TensorValue, known: dict[str, int]) -> Iterator[tuple[str, Any, Any]]:
    for field in ("dtype", "device", "layout"):
        if getattr(real, field) != getattr(said, field):
            yield field, getattr(real, field), getattr(said, field)
    if len(real.shape) != len(said.shape) or any(
        not _holds(size, expected, known) for size, expected in zip(said.shape, real.shape, strict=True)
    ):
        yield "shape", real.shape, said.shape
    elif real.stride is not None and said.stride is not None and 0 not in real.shape:
        steps = zip(said.stride, real.stride, real.shape, strict=True)
        if any(size != 1 and not _holds(step, expected, known) for step, expected, size in steps):
            yield "stride", real.stride, said.stride


def _holds(said: int | Size, real: int | Size, known: dict[str, int]) -> bool:
    """Return whether a size can be this number; a bare symbol that is still unknown becomes it."""
    if isinstance(real, Size):
        return True
    _learn(said, real, known)
    value = value_at(said, known)
    return value is None or value == real


def _learn(said: Any, real: int, known: dict[str, int]) -> None:
    if isinstance(said, Size) and said.expr.is_Symbol:
        known.setdefault(said.text, real)


# --- against before -------------------------------------------------------------------------


def _against_before(evidence: Evidence, ranges: Mapping[str, Interval]) -> Iterator[Finding]:
    if evidence.alignment is None:
        return
    for pair, one, other in evidence.alignment.pairs():
        if one.op == "output":
            if one.val != other.val:
                yield _finding(pair.before, one, "output", one.val, other.val, "val of the output node")
            continue
        for field, expected, actual in val_differences(one.val, other.val, ranges):
            yield _finding(pair.before, one, field, expected, actual, f"val of {node_text(one)}")


def val_differences(one: Any, other: Any, ranges: Mapping[str, Interval]) -> Iterator[tuple[str, Any, Any]]:
    """Yield the differences between two frozen values; sizes are equal if they are equal for the ranges."""
    if isinstance(one, TensorValue) and isinstance(other, TensorValue):
        yield from _tensor(one, other, ranges)
    elif isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other):
        for left, right in zip(one, other, strict=True):
            yield from val_differences(left, right, ranges)
    elif isinstance(one, Size) or isinstance(other, Size):
        if not (_is_size(one) and _is_size(other) and same_size(one, other, ranges)):
            yield ("missing" if other is None else "symbol"), one, other
    elif type(one) is not type(other) or one != other:
        yield ("missing" if other is None else "gained" if one is None else "value"), one, other


def _is_size(value: Any) -> bool:
    return isinstance(value, (int, Size))


def _tensor(one: TensorValue, other: TensorValue, ranges: Mapping[str, Interval]) -> Iterator[tuple[str, Any, Any]]:
    for field in ("dtype", "device", "layout"):
        if getattr(one, field) != getattr(other, field):
            yield field, getattr(one, field), getattr(other, field)
    if not _same_sizes(one.shape, other.shape, ranges):
        yield "shape", one.shape, other.shape
    elif one.stride != other.stride and not _same_strides(one, other, ranges):
        yield "stride", one.stride, other.stride
    if one.storage_offset != other.storage_offset:
        yield "storage_offset", one.storage_offset, other.storage_offset


def _same_sizes(one: tuple[Any, ...], other: tuple[Any, ...], ranges: Mapping[str, Interval]) -> bool:
    return len(one) == len(other) and all(
        same_size(left, right, ranges) for left, right in zip(one, other, strict=True)
    )


def _same_strides(one: TensorValue, other: TensorValue, ranges: Mapping[str, Interval]) -> bool:
    """Return whether strides agree: those of dims of one element mean nothing, and neither do those of a tensor without
    elements.
    """
    if one.stride is None or other.stride is None:
        return one.stride is other.stride
    ranges = {name: Interval(max(1, each.lower or 1), each.upper) for name, each in ranges.items()}
    return all(
        size == 1 or same_size(left, right, ranges)
        for left, right, size in zip(one.stride, other.stride, one.shape, strict=True)
    )
