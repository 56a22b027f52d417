"""The origin of a difference in a package, which has no nodes: the program is truncated, and compiled again.

One compile with every value as an output is tried first. Where that one cannot be compiled, or does not show the
difference because the compiler fuses less, the program is truncated at one node after the other, found by bisection:
it then returns all values that its rest would need, so that a difference which a later node hides is seen too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from pytest_exportcheck.checks.closeness import Rule
from pytest_exportcheck.locate.gaps import Gap, gap_between
from pytest_exportcheck.locate.sides import MOST_ROWS
from pytest_exportcheck.locate.truncatable import Truncatable
from pytest_exportcheck.records import DifferenceOrigin, OriginKind, OriginRemark, OriginRow

#: Bytes of values that one package returns at most.
_MOST_BYTES = 2**30
#: Operations at most that are compiled by themselves, to find the one that is wrong.
_ALONE = 4
#: Further places, before and after, at which a program is truncated where it cannot be compiled at one.
_NEARBY = 2


@dataclass(frozen=True)
class Refused:
    """The reason why a truncated program has no values. ``called``: it was compiled, and its call failed."""

    text: str
    called: bool = False


class Packages(Protocol):
    """The packages of truncated programs, each called with the inputs that show the difference."""

    def values(self, names: Sequence[str]) -> Mapping[str, Any] | Refused:
        """Return these values, from a package of the program that is truncated so that it returns them."""

    def alone(self, names: Sequence[str]) -> Mapping[str, Any] | Refused:
        """Return the results of one operation, from a package that has only that operation and is given the values
        of the program.
        """


@dataclass(eq=False)
class Truncation:
    """The search for the origin in one call. ``spent`` returns True when its time is over. Where the package raises,
    ``raises`` is True, and a truncated one that raises too is a difference.
    """

    program: Truncatable
    rule: Rule
    packages: Packages
    label: str
    spent: Callable[[], bool]
    raises: bool = False
    gaps: dict[str, Gap | None] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)

    def origin(self) -> DifferenceOrigin | None:
        """Return the origin, None where every value agrees."""
        found = self._differing(self.program.order) if self._fits_at_once() else None
        if found:
            return self._explained(found)
        remarks: tuple[OriginRemark, ...] = () if found is None else ("fused",)
        first, last = self._bisected()
        order = self.program.order
        if not self.gaps and not self.spent():
            return DifferenceOrigin(kind="uncompiled", on=self.label, reason=self._reason())
        if first < last:
            return self._between(order[first], order[min(last, len(order) - 1)], remarks)
        if first < len(order):
            return self._explained(self._verified(order[first]), remarks)
        return None

    def most_rounded(self) -> DifferenceOrigin | None:
        """Return the value that differs most, though all agree; None where all are the same bit for bit."""
        seen = {name: gap for name, gap in self.gaps.items() if gap is not None}
        if not seen:
            return None
        name = max(seen, key=lambda each: seen[each].relative)
        return self._at(name, "rounding", [name], ())

    # --- one package -------------------------------------------------------------------------

    def _fits_at_once(self) -> bool:
        return bool(self.program.order) and not self.raises and self.program.bytes <= _MOST_BYTES

    def _differing(self, names: Sequence[str]) -> list[str] | None:
        """Return those of the values that differ, in order, from a package of the truncated program; None where it
        cannot be compiled. If the package must raise, and does so, that is the last one.
        """
        given = self.packages.values(names)
        if isinstance(given, Refused):
            if given.called and self.raises:
                self.gaps[names[-1]] = Gap(given.text, float("inf"), exceeds=True)
                return [names[-1]]
            self.reasons.append(given.text)
            return None
        found = {name: self._gap(name, given[name]) for name in names}
        self.gaps |= found
        return [] if self.raises else [name for name, gap in found.items() if gap is not None and gap.exceeds]

    def _gap(self, name: str, value: Any) -> Gap | None:
        expected = self.program.values[name]
        if isinstance(value, torch.Tensor) and isinstance(expected, torch.Tensor):
            value = value.to(expected.dtype)  # some runtimes have fewer dtypes
        return gap_between(expected, value, self.rule)

    # --- bisection ---------------------------------------------------------------------------

    def _bisected(self) -> tuple[int, int]:
        """Return the first and the last place at which the difference may start. They are the same when it is found;
        both behind the last value where every value agrees.
        """
        low, high = 0, len(self.program.order)
        tried = self._nearest(high - 1, high - 1, high) if high else None
        while low < high:
            if tried is not None:
                position, differs = tried
                low, high = (low if differs >= low else 0, differs) if differs is not None else (position + 1, high)
            if low >= high or self.spent():
                break
            tried = self._nearest((low + high) // 2, low, high)
            if tried is None:
                break  # it can be compiled at none of these places
        return low, high

    def _nearest(self, middle: int, low: int, high: int) -> tuple[int, int | None] | None:
        """Return a place near the middle at which the program can be truncated, and that of the first value that
        differs.
        """
        places = sorted(
            range(max(low, middle - _NEARBY), min(high, middle + _NEARBY + 1)), key=lambda at: abs(at - middle)
        )
        for place in places:
            differing = self._differing(self.program.live(place))
            if differing is not None:
                return place, self.program.order.index(differing[0]) if differing else None
            if self.spent():
                break
        return None

    def _verified(self, name: str) -> list[str]:
        """Compare a value once more, together with all values that it is computed from."""
        names = [*self.program.inputs(name), name]
        if not self.raises and not self.spent():
            self._differing(names)
        return [name]

    # --- the operation by itself -------------------------------------------------------------

    def _explained(self, found: Sequence[str], remarks: tuple[OriginRemark, ...] = ()) -> DifferenceOrigin:
        """Return the origin among values that differ: the first operation that is wrong by itself, or the first one."""
        for number, name in enumerate(found[:_ALONE]):
            wrong = None if self.spent() else self._wrong_alone(name)
            if wrong is None and not number:
                return self._at(name, self._kind, found, (*remarks, "unchecked"))
            if wrong:
                read = self._input_of(name)
                return read or self._at(name, self._kind, found[number:], (*remarks, "alone"))
        return self._at(found[0], self._kind, found, (*remarks, "together"))

    @property
    def _kind(self) -> OriginKind:
        return "call" if self.raises else "changed"

    def _wrong_alone(self, name: str) -> bool | None:
        parts = self.program.parts(name)
        given = self.packages.alone(parts)
        if isinstance(given, Refused):
            return True if given.called and self.raises else None
        if self.raises:
            return False
        gaps = [self._gap(each, given[each]) for each in parts]
        return any(gap is not None and gap.exceeds for gap in gaps)

    def _input_of(self, name: str) -> DifferenceOrigin | None:
        """Return an input that a package which only returns it returns otherwise."""
        for each in self.program.given_to(name):
            if not self.raises and not self.spent() and self._differing([each]):
                return self._at(each, "input", [each, name], ())
        return None

    # --- records -----------------------------------------------------------------------------

    def _at(
        self, name: str, kind: OriginKind, found: Sequence[str], remarks: tuple[OriginRemark, ...]
    ) -> DifferenceOrigin:
        side = self.program.side
        gap = self.gaps.get(name)
        owner = self.program.owner(name)
        return DifferenceOrigin(
            kind=kind,
            after=side.named(owner),
            rows=tuple(self._rows(found, remarks)),
            nonfinite=gap is not None and gap.nonfinite and kind != "rounding",
            on=self.label,
            near_after=side.near(owner),
            remarks=remarks,
        )

    def _rows(self, found: Sequence[str], remarks: Sequence[OriginRemark]) -> Iterator[OriginRow]:
        owners: dict[str, str] = {}
        for name in found:
            owners.setdefault(self.program.owner(name), name)
        for number, (owner, name) in enumerate(list(owners.items())[:MOST_ROWS]):
            node, gap = self.program.side.named(owner), self.gaps.get(name)
            inputs = [self.gaps.get(each) for each in self.program.inputs(name)]
            agree = not any(each is not None and each.exceeds for each in inputs)
            if node is not None:
                agree = agree or (number == 0 and "alone" in remarks)
                yield OriginRow(node=node, difference=gap.text if gap else "", inputs_agree=agree)

    def _between(self, first: str, last: str, remarks: tuple[OriginRemark, ...]) -> DifferenceOrigin:
        side = self.program.side
        kind: OriginKind = "between" if self.spent() else "uncompiled_between"
        return DifferenceOrigin(
            kind=kind,
            before=side.named(self.program.owner(first)),
            after=side.named(self.program.owner(last)),
            on=self.label,
            reason=self._reason(),
            remarks=remarks,
        )

    def _reason(self) -> str:
        return self.reasons[-1] if self.reasons else ""
