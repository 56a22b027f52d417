"""What drawing and comparing cost per example, against the forward pass of resnet18 at 64x64.

    python -m benchmarks.fuzz_cost [--examples N] [model ...]

One item of fuzzing is run. From the end of one example to the end of the next, what passes inside the two callables (eager and
the program) is taken away: the rest is drawing sizes, making inputs, watching for effects and comparing. ``once`` is what an
item costs besides: making the program's callable, solving facts. ``forward`` is one call of the eager module at the example's
sizes (batch 2) in the same process, just before.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from statistics import median
from typing import Any

import torch

from benchmarks.models import CASES
from pytest_exportcheck.engines.bare import as_engine
from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.fuzz import fuzzer as trial
from pytest_exportcheck.fuzz.hypothesis_driver import Draw
from pytest_exportcheck.modes import Mode
from pytest_exportcheck.options import Fuzzing
from pytest_exportcheck.records import Case
from pytest_exportcheck.run.runner import Runner

MODELS = ("tied_language_model", "small_vit", "resnet18")


class Inside:
    """How long the outermost calls of modules took, and how many there were."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.calls = 0
        self._depth = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Every call of a module is timed meanwhile."""
        original: Callable[..., Any] = torch.nn.Module.__call__

        def timed(module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
            self._depth += 1
            started = time.perf_counter()
            try:
                return original(module, *args, **kwargs)
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self.seconds += time.perf_counter() - started
                    self.calls += 1

        torch.nn.Module.__call__ = timed  # type: ignore[method-assign]
        try:
            yield
        finally:
            torch.nn.Module.__call__ = original  # type: ignore[method-assign]


def forward_seconds(case: Case) -> float:
    """The median of one call of eager."""
    module = case.build()
    assert isinstance(module, torch.nn.Module) and callable(case.args)
    module.eval()
    args = case.args()
    rounds = []
    for _ in range(12):
        started = time.perf_counter()
        module(*args)
        rounds.append(time.perf_counter() - started)
    return median(rounds[2:])


def beside(case: Case, examples: int) -> tuple[list[float], float]:
    """Seconds beside the callables: of each example, and of the item besides."""
    engine, mode = as_engine(TorchExport()), Mode(("nonstrict",))
    runner = Runner({engine.name: engine}, fuzz=Fuzzing(examples=examples))
    runner.select([(case, engine.name, mode), (case, engine.name, mode.fuzzed), (case, engine.name, Mode(("strict",)))])
    runner.run(case, engine.name, mode)
    inside, own = Inside(), trial._Fuzzer._declared
    ends: list[float] = []

    def declared(self: trial._Fuzzer, draw: Draw, sizes: Mapping[str, int], number: int) -> None:
        try:
            own(self, draw, sizes, number)
        finally:
            ends.append(time.perf_counter() - inside.seconds)

    trial._Fuzzer._declared = declared  # type: ignore[method-assign]
    try:
        with inside.watching():
            started = time.perf_counter()
            outcome = runner.run(case, engine.name, mode.fuzzed)
            seconds = time.perf_counter() - started - inside.seconds
    finally:
        trial._Fuzzer._declared = own  # type: ignore[method-assign]
    assert outcome.status == "passed", outcome
    each = [end - begin for begin, end in pairwise(ends)]
    return each, seconds - sum(each)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--examples", type=int, default=50)
    given = parser.parse_args()
    beside(CASES["small_vit"], 5)  # what is imported and compiled once
    forward = forward_seconds(CASES["resnet18"])
    print(f"forward of resnet18 at 64x64, batch 2: {forward * 1e3:.1f} ms")
    for name in given.models:
        each, once = beside(CASES[name], given.examples)
        cost = median(each)
        print(
            f"{name:22} {cost * 1e3:6.2f} ms an example, {cost / forward:5.2f} of that forward "
            f"({len(each)} examples; once {once * 1e3:.0f} ms)"
        )


if __name__ == "__main__":
    main()
