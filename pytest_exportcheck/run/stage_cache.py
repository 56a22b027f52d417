"""The stages of one case that were made and may be needed again."""

from __future__ import annotations

import gc
from collections.abc import Callable

from pytest_exportcheck.modes import Mode
from pytest_exportcheck.run.stage import StageResult

#: Bytes of weights from which memory is freed at once; a collection takes a tenth of a second.
LARGE = 2**26


class StageCache:
    """Stages by engine and mode. ``weight_bytes`` is the size of the weights that a loaded program copies."""

    def __init__(self, weight_bytes: int) -> None:
        self._stages: dict[tuple[str, Mode], StageResult] = {}
        self._is_large = weight_bytes > LARGE

    def get(self, engine: str, mode: Mode) -> StageResult | None:
        """Return the stage at the end of a mode; None if it was not made, or released."""
        return self._stages.get((engine, mode))

    def put(self, engine: str, mode: Mode, stage: StageResult) -> StageResult:
        """Keep a stage, in place of the one that was there."""
        self._stages[engine, mode] = stage
        return stage

    def release(self, needed: Callable[[str, Mode], bool]) -> None:
        """Drop the stages that are not needed any more, with their artifacts and observations."""
        dropped = [key for key in self._stages if not needed(*key)]
        for key in dropped:
            del self._stages[key]
        if dropped and self._is_large:
            gc.collect()  # programs are cycles, and a loaded one has separate weights
