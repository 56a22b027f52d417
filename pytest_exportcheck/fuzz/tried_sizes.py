"""The log of the sizes that fuzzing tried, for the report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pytest_exportcheck.records import SizesTried

Result: TypeAlias = Literal["agreed", "failing", "invalid"]
_Row: TypeAlias = tuple[int, ...]

#: Rows that are kept of each result.
_MOST = 60


@dataclass(frozen=True)
class SizesLog:
    """The rows of sizes by result. Rows that failed once are failing: hypothesis repeats examples."""

    _rows: dict[Result, dict[_Row, None]] = field(
        default_factory=lambda: {"agreed": {}, "failing": {}, "invalid": {}}, repr=False
    )

    def add(self, sizes: Mapping[str, int], result: Result) -> None:
        """Note the result of one example."""
        self._rows[result][tuple(sizes.values())] = None

    @contextmanager
    def example(self, sizes: Mapping[str, int]) -> Iterator[None]:
        """Note an example as failing if the block raises, else as one that agreed."""
        try:
            yield
        except BaseException:
            self.add(sizes, "failing")
            raise
        self.add(sizes, "agreed")

    def record(self, names: Iterable[str], refused: Iterable[str], accepted: Iterable[str]) -> SizesTried:
        """Return the rows as data, sorted. Of many rows, some between the smallest and the largest are left out."""
        failing = sorted(self._rows["failing"])
        agreed, invalid = (sorted(self._rows[each].keys() - failing) for each in ("agreed", "invalid"))
        groups = [_some(rows) for rows in (agreed, failing, invalid)]
        return SizesTried(
            names=tuple(names),
            agreed=groups[0],
            failing=groups[1],
            invalid=groups[2],
            left_out=len(agreed) + len(failing) + len(invalid) - sum(map(len, groups)),
            refused=tuple(sorted(refused)),
            accepted=tuple(sorted(accepted)),
        )


def _some(rows: Sequence[_Row]) -> tuple[_Row, ...]:
    if len(rows) <= _MOST:
        return tuple(rows)
    return tuple(rows[number * (len(rows) - 1) // (_MOST - 1)] for number in range(_MOST))
