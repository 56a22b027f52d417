"""Comparison of the sizes that two programs compute by different nodes, and of their assertions on sizes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, product
from random import Random
from typing import Any, TypeAlias

from pytest_exportcheck.checks.compare.alignment import flat
from pytest_exportcheck.checks.compare.symbolic_sizes import bounds_of, number_at
from pytest_exportcheck.checks.size_graphs import Condition, Number, SizeGraph, Values, conditions
from pytest_exportcheck.records import (
    Alignment,
    GraphPair,
    Interval,
    NodeRecord,
    NodeRun,
    ProgramRecord,
    Size,
    TensorValue,
)

Relation: TypeAlias = tuple["int | Size", "int | Size"]
Setting: TypeAlias = tuple[Values, Values]

_DRAWN = 24  # settings drawn on each side
_KEPT = 12  # settings at which two sizes are compared
_WIDE = 64  # settings at which an assertion is compared with others


@dataclass(frozen=True, eq=False)
class SizeComparison:
    """Two programs, and the relations between the symbols of one and those of the other.

    Symbols of the inputs are related through the shapes of the inputs, unbacked ones through the operations that
    bind them, so that two symbols may have become one, or one an expression of others.
    """

    alignment: Alignment
    before: ProgramRecord
    after: ProgramRecord

    def same(self, one: Any, ours: SizeGraph, other: Any, theirs: SizeGraph) -> bool | None:
        """Compare two arguments at every setting where both can be evaluated; None if no setting allows it."""
        pairs = [(ours.number(one, left), theirs.number(other, right)) for left, right in self._settings]
        known = [(left, right) for left, right in pairs if left is not None and right is not None]
        return all(_close(left, right) for left, right in known) if known else None

    @cached_property
    def _relations(self) -> tuple[Relation, ...]:
        shapes = self.before.constraints.shapes, self.after.constraints.shapes
        inputs = [pair for place in shapes[0] for pair in _zipped(shapes[0][place], shapes[1].get(place, ()))]
        bound = [
            pair
            for _, one, other in self.alignment.pairs()
            if one.op == "placeholder" or "unbacked_bindings" in {*one.meta, *other.meta}
            for pair in _zipped(tuple(_sizes(one.val)), tuple(_sizes(other.val)))
        ]
        return tuple(dict.fromkeys(pair for pair in (*inputs, *bound) if any(isinstance(e, Size) for e in pair)))

    @cached_property
    def _settings(self) -> tuple[Setting, ...]:
        """Return values of the symbols that both programs allow: those of the recorded runs, then drawn ones."""
        swapped = tuple((right, left) for left, right in self._relations)
        pair = self.alignment.graphs[0] if self.alignment.graphs else None
        asserted = conditions(pair.before, SizeGraph.of(pair.before)) if pair else []
        found = [
            *((left, right) for right, left in _completed(map(self._run, self.after.runs), swapped)),
            *((left, right) for right, left in _drawn(swapped, self.after.constraints.ranges)),
            *_drawn(self._relations, self.before.constraints.ranges),
        ]
        kept = (setting for setting in found if all(each.holds(setting[0]) is not False for each in asserted))
        return tuple(islice(kept, _KEPT))

    def _run(self, run: NodeRun) -> Values:
        """Return the values of the symbols of the program after in a run."""
        values: dict[str, Number] = dict(run.sizes)
        for graph in self.after.graphs.values():
            for node in graph.nodes:
                for said, real in _zipped(tuple(_sizes(node.val)), tuple(_sizes(run.values.get(graph.place(node))))):
                    if isinstance(said, Size) and said.expr.is_Symbol and not isinstance(real, Size):
                        values.setdefault(said.text, real)
        return values

    # --- assertions -------------------------------------------------------------------------

    def dropped(self, pair: GraphPair, ours: SizeGraph, theirs: SizeGraph) -> list[NodeRecord]:
        """Return the assertions on unbacked symbols that do not follow from those of the program after."""
        swapped = tuple((right, left) for left, right in self._named(ours, theirs, pair))
        return _not_implied(conditions(pair.before, ours), conditions(pair.after, theirs), swapped, {})

    def added(self, pair: GraphPair, ours: SizeGraph, theirs: SizeGraph) -> list[NodeRecord]:
        """Return the assertions on unbacked symbols that do not follow from those of the program before and from its
        ranges.
        """
        relations = self._named(ours, theirs, pair)
        ranges = self.before.constraints.ranges
        return _not_implied(conditions(pair.after, theirs), conditions(pair.before, ours), relations, ranges)

    def _named(self, ours: SizeGraph, theirs: SizeGraph, pair: GraphPair) -> tuple[Relation, ...]:
        """Add relations by name for the symbols that no input and no operation relates."""
        left = {text for one, _ in self._relations for text in _names(one)}
        right = {text for _, other in self._relations for text in _names(other)}
        sizes = [
            {each.text: each for each in graph.leaves_of(record) if each.expr.is_Symbol}
            for graph, record in ((ours, pair.before), (theirs, pair.after))
        ]
        same = [(sizes[0][text], sizes[1][text]) for text in sizes[0] if text in sizes[1]]
        return (*self._relations, *(each for each in same if each[0].text not in left and each[1].text not in right))


def _not_implied(
    asserted: Sequence[Condition],
    known: Sequence[Condition],
    relations: Sequence[Relation],
    ranges: Mapping[str, Interval],
) -> list[NodeRecord]:
    """Return the nodes whose condition is false at some setting where all known conditions hold.

    ``relations`` lead from the symbols of the known conditions to those of the others; ``ranges`` are about the former.
    """
    return [
        each.node for each in asserted if _is_unbacked(each) and _is_false_somewhere(each, known, relations, ranges)
    ]


def _is_unbacked(condition: Condition) -> bool:
    """Return True if the condition depends on a symbol that no input fixes: an assertion on inputs may become a
    guard.
    """
    return any("[" not in name for name in condition.symbols)


def _is_false_somewhere(
    condition: Condition, known: Sequence[Condition], relations: Sequence[Relation], ranges: Mapping[str, Interval]
) -> bool:
    definitions = {str(right): left for left, right in relations if isinstance(right, Size) and right.expr.is_Symbol}
    if not condition.symbols <= definitions.keys():
        return False
    names = sorted({name for symbol in condition.symbols for name in _names(definitions[symbol])})
    relevant = [each for each in known if each.symbols and each.symbols <= set(names)]
    numbers = condition.constants.union(*(each.constants for each in relevant))
    pool = sorted({near for number in (*numbers, 0, 1) for near in (number - 1, number, number + 1)})
    draw = Random(0)  # the same in every run
    settings: Iterable[tuple[int, ...]] = (
        product(pool) if len(names) == 1 else (tuple(draw.choice(pool) for _ in names) for _ in range(_WIDE))
    )
    for chosen in settings:
        values = dict(zip(names, chosen, strict=True))
        if not all(_is_within(value, ranges.get(name)) for name, value in values.items()):
            continue
        if any(each.holds(values) is False for each in relevant):
            continue
        meant = {symbol: number_at(definitions[symbol], values) for symbol in condition.symbols}
        if condition.holds({name: value for name, value in meant.items() if value is not None}) is False:
            return True
    return False


def _is_within(value: int, interval: Interval | None) -> bool:
    return interval is None or interval.holds(Interval(value, value))


# --- settings of symbols --------------------------------------------------------------------


def _zipped(one: tuple[Any, ...], other: tuple[Any, ...]) -> list[tuple[Any, Any]]:
    """Pair the values if both sides have equally many, else return no pairs."""
    return list(zip(one, other, strict=True)) if len(one) == len(other) else []


def _sizes(val: Any) -> Iterator[Any]:
    """Yield the numbers in a val: those of shapes, and plain ones."""
    for each in flat((val,)):
        if isinstance(each, TensorValue):
            yield from each.shape
        elif isinstance(each, (int, Size)):
            yield each


def _names(size: int | Size) -> list[str]:
    return sorted(map(str, size.expr.free_symbols)) if isinstance(size, Size) else []


def _drawn(relations: Sequence[Relation], ranges: Mapping[str, Interval]) -> Iterator[tuple[Values, Values]]:
    """Draw settings of the symbols on the left from all over their ranges; yield each with the setting of the right
    that follows.
    """
    names = sorted({name for left, _ in relations for name in _names(left)})
    draw = Random(0)  # the same in every run

    def number(name: str) -> int:
        low, high = bounds_of(ranges.get(name))
        return draw.randint(low, min(high, low + 20))

    return _completed(({name: number(name) for name in names} for _ in range(_DRAWN)), relations)


def _completed(settings: Iterable[Values], relations: Sequence[Relation]) -> Iterator[tuple[Values, Values]]:
    """Yield each setting of the left with the setting of the right that follows, where all relations hold."""
    for values in settings:
        other: dict[str, Number] = {}
        for left, right in relations:
            number = number_at(left, values)
            if isinstance(right, Size) and right.expr.is_Symbol and number is not None:
                other.setdefault(right.text, number)
        if all(_agree(left, values, right, other) for left, right in relations):
            yield values, other


def _agree(left: int | Size, values: Values, right: int | Size, other: Values) -> bool:
    one, two = number_at(left, values), number_at(right, other)
    return one is None or two is None or _close(one, two)


def _close(one: Number, other: Number) -> bool:
    return math.isclose(one, other, rel_tol=1e-9)
