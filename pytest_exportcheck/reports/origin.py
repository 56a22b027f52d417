"""The origin of a difference as text: the node with its module and its line, and the nodes that differ after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath

from pytest_exportcheck.records import DifferenceOrigin, OriginKind, OriginNode, OriginRemark, OriginRow
from pytest_exportcheck.reports.lines import Line, plain

_WORDS: Mapping[OriginKind, str] = {
    "changed": "{node} computes another value from the same inputs",
    "inserted": "{node}: before, no such operation computed these values",
    "state": "{node} holds another value",
    "returned": "every operation agrees, but {node} is returned or written in place of another value",
    "detached": "{node} yields the same value without its gradient",
    "backward": "the backward of {node} computes another gradient",
    "rounding": "every operation is within its rounding; {node} differs most",
    "raised": "{node} raises when the program is run node by node",
    "unknown": "this is not known: the programs could not be run side by side ({reason})",
    "outside": "outside the graph: every operation computes the same values",
    "call": "{node}: a package of the program up to there raises too",
    "input": "{node}: the package reads another value from this input",
    "contiguous": "{node}: the package reads this input as if it were contiguous",
    "between": "one of the operations from {first} to {node}: the time for the search was over",
    "uncompiled_between": "one of the operations from {first} to {node}: the program cannot be compiled up to one of them ({reason})",
    "uncompiled": "this is not known: no part of the program could be compiled ({reason})",
    "whole": "the whole program: up to {node} every operation computes the same values, if they are outputs of the package",
    "stale": "the state: every operation computes the same values in a package that begins with the state of this call",
}

_REMARKS: Mapping[OriginRemark, str] = {
    "alone": "a package of this operation by itself shows it too",
    "together": "a package of this operation by itself does not show it, so it depends on the operations around it",
    "unchecked": "a package of this operation by itself was not made",
    "fused": "a package that returns every value does not show it, so it depends on what is fused",
}

_CODE = "bold"
#: Characters of the columns of the table at most, so that it fits into 80 columns.
_WIDEST = (15, 16, 17, 12, 6)


def origin_lines(origin: DifferenceOrigin) -> Iterator[Line]:
    """Yield the origin in a few lines, then a table of the nodes that differ."""
    node = origin.after
    yield plain(f"    starts at: {starts_at(origin)}")
    if node is not None:
        yield from _node(node, origin.before, _sides(origin))
    if len(origin.rows) > 1:
        yield from _table(origin.rows)


def starts_at(origin: DifferenceOrigin) -> str:
    """Return the place where a difference starts, in a few words."""
    name = f"%{origin.after.name}" if origin.after else "another value"
    first = f"%{origin.before.name}" if origin.before else "the first one"
    text = _WORDS[origin.kind].format(node=name, first=first, reason=origin.reason)
    text = f"{text}, the first NaN or infinity" if origin.nonfinite else text
    return "; ".join([text, *(_REMARKS[each] for each in origin.remarks)])


def _sides(origin: DifferenceOrigin) -> tuple[str, str]:
    """Return what the two nodes of an origin are: a package has no program after it, so its nodes are those before."""
    if origin.kind in ("between", "uncompiled_between"):
        return "from:", "to:"
    return ("", "node:") if origin.remarks or origin.kind in ("call", "whole") else ("before:", "after:")


def _node(node: OriginNode, before: OriginNode | None, sides: tuple[str, str]) -> Iterator[Line]:
    if before is not None and (before.call or before.operator):
        yield plain(f"      {sides[0]:7} {_call(before)}")
    if node.call:
        yield plain(f"      {sides[1]:7} {_call(node)}")
    where = f" in {node.module}" if node.module else ""
    line = node.line or (before.line if before else "")
    if line:
        yield Line((("      line:   ", ""), (line, _CODE)))
    if where:
        yield plain(f"      module: {node.module}")


def _call(node: OriginNode) -> str:
    call = node.call or node.operator
    return call if len(call) <= 100 else f"{call[:97]}..."


def _table(rows: Sequence[OriginRow]) -> Iterator[Line]:
    table = [("node", "operator", "line", "difference", "inputs"), *map(_cells, rows)]
    widths = [min(widest, max(len(row[number]) for row in table)) for number, widest in enumerate(_WIDEST)]
    for row in table:
        yield plain(
            "      " + "  ".join(_cut(text, width).ljust(width) for text, width in zip(row, widths, strict=True))
        )


def _cells(row: OriginRow) -> tuple[str, ...]:
    place, _, _ = row.node.line.partition(" in ")
    operator = row.node.operator.removeprefix("aten.").removesuffix(".default")
    inputs = "agree" if row.inputs_agree else "differ"
    return (row.node.name, operator, PurePath(place).name, row.difference or "new value", inputs)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 2]}.."
