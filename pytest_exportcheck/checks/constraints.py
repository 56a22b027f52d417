"""Constraints: dynamic dims stay dynamic, ranges hold, guards accept what they accepted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from pytest_exportcheck.checks.compare.symbolic_sizes import same_size, value_at
from pytest_exportcheck.records import (
    Change,
    ConstraintsRecord,
    DeclaredDim,
    Evidence,
    Finding,
    Interval,
    NodeRef,
    ProgramRecord,
    Size,
    TensorValue,
)
from pytest_exportcheck.records.levels import ConstraintsLevel

_FINDING = Finding.of("constraints")

#: Number of sizes beyond a range that are tried, which assumptions could exclude.
_BEYOND = 64


def check(evidence: Evidence) -> list[Finding]:
    """Judge the constraints as strictly as the contract says."""
    program, level = evidence.after.program, evidence.contract["constraints"]
    if program is None:
        return []
    after = program.constraints
    if level == "declared":
        return list(_declared(evidence.declared, after))
    if evidence.before.program is None:
        return []
    found = list(_LEVELS[level](evidence.before.program.constraints, after))
    return list(map(partial(_explained, _lengths(evidence.before.program)), found))


def _lengths(program: ProgramRecord) -> set[frozenset[str]]:
    """Return the lengths of keys and values of each attention node, as pairs of texts."""
    found = set()
    for graph in program.graphs.values():
        nodes = {node.name: node for node in graph.nodes}
        for node in graph.nodes:
            if "attention" in node.facts and len(node.args) > 2:
                given = [nodes[each.name].val for each in node.args[1:3] if isinstance(each, NodeRef)]
                shapes = [each.shape for each in given if isinstance(each, TensorValue) and len(each.shape) > 1]
                found.add(frozenset(str(shape[-2]) for shape in shapes))
    return found


def _explained(lengths: Collection[frozenset[str]], finding: Finding) -> Finding:
    """Name a relation between the two lengths of one attention node, which are always equal."""
    of_attention = finding.key == "relation" and frozenset((finding.expected, finding.actual)) in lengths
    return replace(finding, key="relation_of_keys_and_values") if of_attention else finding


# --- the declarations of the case -----------------------------------------------------------


def _declared(dims: tuple[DeclaredDim, ...], constraints: ConstraintsRecord) -> Iterator[Finding]:
    for dim in dims:
        shape = constraints.shapes.get(dim.place)
        if shape is None or dim.dim >= len(shape):
            continue
        size, place = shape[dim.dim], f"{dim.place}.size({dim.dim})"
        if dim.dynamic and not isinstance(size, Size):
            yield _FINDING.at(place, "static", "", f"dynamic ({dim.text})", f"always {size}")
        elif not dim.dynamic and not dim.text.startswith("Dim.AUTO") and isinstance(size, Size):
            yield _FINDING.at(place, "dynamic", "", f"static ({dim.text})", size)
        elif isinstance(size, Size) and dim.interval is not None:
            yield from _range(place, dim, dim.interval, interval_of(size, constraints.ranges))


def _range(place: str, dim: DeclaredDim, declared: Interval, found: Interval | None) -> Iterator[Finding]:
    if found is None or found == declared:
        return
    if not found.holds(declared) and not _assumed(dim, found):
        yield _FINDING.at(place, "narrowed", "", declared, found)
    if not declared.holds(found):
        yield _FINDING.at(place, "widened", "", declared, found)


def _assumed(dim: DeclaredDim, found: Interval) -> bool:
    """Return True if assumptions leave no size of the dim outside the range that was found. Assumptions that relate
    several variables are not solved: they may leave none.
    """
    if any(len(each.free_symbols) > 1 for each in dim.conditions):
        return True
    outside = [(found.lower, -1), (found.upper, 1)]
    for bound, sign in outside:
        for step in range(1, _BEYOND if bound is not None else 0):
            root = dim.root_for((bound or 0) + sign * step)
            if root is None or (dim.root_interval and not dim.root_interval.holds(Interval(root, root))):
                continue
            values = [each.xreplace(dict.fromkeys(each.free_symbols, root)) for each in dim.conditions]
            if all(map(bool, values)):
                return False
    return bool(dim.conditions)


def interval_of(size: Size, ranges: Mapping[str, Interval]) -> Interval | None:
    """Return the range of an expression: the program's own, or one derived from that of its one symbol, if the
    expression is monotone.
    """
    if size.text in ranges:
        return ranges[size.text]
    symbols = sorted(map(str, size.expr.free_symbols))
    if len(symbols) != 1 or symbols[0] not in ranges:
        return None
    root = ranges[symbols[0]]
    ends = [None if bound is None else value_at(size, {symbols[0]: bound}) for bound in (root.lower, root.upper)]
    start = root.lower if root.lower is not None else root.upper if root.upper is not None else 0
    here, there = (value_at(size, {symbols[0]: start + step}) for step in (0, 1))
    if here is not None and there is not None and there < here:  # falls as its symbol grows
        ends.reverse()
    return Interval(ends[0], ends[1])


# --- compared with before -------------------------------------------------------------------


def _equal(before: ConstraintsRecord, after: ConstraintsRecord) -> Iterator[Finding]:
    yield from _shapes(before, after)
    yield from _ranges(before, after)
    old, new = _normal(before.guards), _normal(after.guards)
    for guard in old:
        if guard not in new:
            yield _FINDING.at(guard, "dropped", "guard", guard, "no such guard")
    for guard in new:
        if guard not in old:
            yield _FINDING.at(guard, "added", "guard", "no such guard", guard)


def _shapes(before: ConstraintsRecord, after: ConstraintsRecord) -> Iterator[Finding]:
    for place, old in before.shapes.items():
        new = after.shapes.get(place)
        if new is None or len(new) != len(old):
            continue  # the signature and val say so
        for dim, (left, right) in enumerate(zip(old, new, strict=True)):
            if isinstance(left, Size) and not isinstance(right, Size):
                yield _FINDING.at(f"{place}.size({dim})", "static", "", f"dynamic ({left})", f"always {right}")
            elif isinstance(right, Size) and not isinstance(left, Size):
                yield _FINDING.at(f"{place}.size({dim})", "dynamic", "", f"always {left}", f"dynamic ({right})")
            elif not same_size(left, right, before.ranges):
                yield _FINDING.at(f"{place}.size({dim})", "changed", "relation", left, right)


def _ranges(before: ConstraintsRecord, after: ConstraintsRecord) -> Iterator[Finding]:
    for text, old in before.ranges.items():
        new = after.ranges.get(text)
        if new is None:
            key = "unused_range" if text in before.unused else "range"
            yield _FINDING.at(text, "dropped", key, old, "no such range")
        elif new != old:
            yield _FINDING.at(text, _moved(old, new), "range", old, new)
    for text, new in after.ranges.items():
        if text not in before.ranges:
            yield _FINDING.at(text, "added", "range", "no such range", new)


def _moved(old: Interval, new: Interval) -> Change:
    return "narrowed" if old.holds(new) else "widened" if new.holds(old) else "moved"


def _normal(guards: tuple[str, ...]) -> list[str]:
    return list(dict.fromkeys(" ".join(guard.split()) for guard in guards))


def _lowered(before: ConstraintsRecord, after: ConstraintsRecord) -> Iterator[Finding]:
    """Compare shapes and ranges; lowering may write guards in another form, and add guards that always hold.

    Where two dims were made one, that is the finding: ranges and settings that only follow from it are left out.
    """
    merged = _merged(before, after)
    seen: set[tuple[str, str]] = set()
    for finding in _shapes(before, after):
        cause = (finding.expected, finding.actual)
        if finding.key != "relation" or cause not in seen:
            yield finding
        seen.add(cause)
    yield from (each for each in _ranges(before, after) if not _follows(each, merged, before, after))
    yield from (each for each in _acceptance(before, after) if not _parts(each, before, after))


def _merged(before: ConstraintsRecord, after: ConstraintsRecord) -> dict[str, Size]:
    """Map the symbols of input dims that have another symbol after to that symbol."""
    pairs = [
        pair for place, old in before.shapes.items() for pair in zip(old, after.shapes.get(place, ()), strict=False)
    ]
    return {
        left.text: right
        for left, right in pairs
        if isinstance(left, Size) and isinstance(right, Size) and left.expr.is_Symbol and left.text != right.text
    }


def _follows(finding: Finding, merged: Mapping[str, Size], before: ConstraintsRecord, after: ConstraintsRecord) -> bool:
    """Return True for a range that disappeared with its symbol, has no symbol left, or became the range that both
    merged dims allow.
    """
    sizes = {name for name in merged if name in finding.place}
    if finding.change == "added":
        return bool(merged) and finding.place in after.unused
    if finding.change == "dropped":
        return bool(sizes) and finding.place not in after.ranges
    new = after.ranges.get(finding.place)
    others = [
        before.ranges[name] for name, size in merged.items() if size.text == finding.place and name in before.ranges
    ]
    return bool(others) and finding.place in before.ranges and new == _common([before.ranges[finding.place], *others])


def _common(intervals: Sequence[Interval]) -> Interval:
    lower = [each.lower for each in intervals if each.lower is not None]
    upper = [each.upper for each in intervals if each.upper is not None]
    return Interval(max(lower, default=None), min(upper, default=None))


def _parts(finding: Finding, before: ConstraintsRecord, after: ConstraintsRecord) -> bool:
    """Return True if the finding is the refusal of a setting that gives two merged dims different sizes."""
    changed = set(finding.place.partition(" = ")[0].removesuffix(" alone").split(" and "))
    groups: dict[str, dict[str, str]] = {}
    for place, sizes in after.shapes.items():
        for dim, (old, new) in enumerate(zip(before.shapes.get(place, ()), sizes, strict=False)):
            if isinstance(old, Size) and isinstance(new, Size):
                groups.setdefault(new.text, {})[f"{place}.size({dim})"] = old.text
    return finding.change == "refused" and any(
        len(set(group.values())) > 1 and changed & group.keys() and group.keys() - changed for group in groups.values()
    )


def _accepts(before: ConstraintsRecord, after: ConstraintsRecord) -> Iterator[Finding]:
    """Yield a finding for each dim that does not stay dynamic in its range, and for each setting that the guards no
    longer accept.
    """
    for place, old in before.shapes.items():
        for dim, (left, right) in enumerate(zip(old, after.shapes.get(place, ()), strict=False)):
            where = f"{place}.size({dim})"
            if isinstance(left, Size) and not isinstance(right, Size):
                yield _FINDING.at(where, "static", "", f"dynamic ({left})", f"always {right}")
            elif isinstance(right, Size) and not isinstance(left, Size):
                yield _FINDING.at(where, "dynamic", "", f"always {left}", f"dynamic ({right})")
            elif isinstance(left, Size) and isinstance(right, Size):
                was, now = interval_of(left, before.ranges), interval_of(right, after.ranges)
                if was is not None and now is not None and was != now:
                    yield _FINDING.at(where, "narrowed" if was.holds(now) else "widened", "range", was, now)
    yield from _acceptance(before, after)


def _acceptance(before: ConstraintsRecord, after: ConstraintsRecord) -> Iterator[Finding]:
    for setting, accepted in before.accepts.items():
        accepts = after.accepts.get(setting, accepted)
        if accepted != accepts:
            say = {True: "accepted by the guards", False: "refused by the guards"}
            yield _FINDING.at(setting, "accepted" if accepts else "refused", "guard", say[accepted], say[accepts])


_LEVELS: Mapping[ConstraintsLevel, Callable[[ConstraintsRecord, ConstraintsRecord], Iterator[Finding]]] = {
    "equal": _equal,
    "lowered": _lowered,
    "accepts": _accepts,
}
