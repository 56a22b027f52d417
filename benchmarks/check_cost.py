"""What the checks of an item cost, as a share of a nonstrict export of the same model in the same run.

    python -m benchmarks.check_cost [MODEL ...]

For every item of the default modes: all that happens after the stage itself, in parts. ``calls`` is running the program
twice on its inputs and backward once, ``record`` writing down what it carries (with a run node by node where the contract
asks for one), ``compare`` the checks and the ledger. The share is of the median item of a model; the last line has the
median over the models.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from benchmarks.models import CASES
from pytest_exportcheck.engines.bare import as_engine
from pytest_exportcheck.engines.torch_export import TorchExport
from pytest_exportcheck.modes import DEFAULT, Mode
from pytest_exportcheck.records import Case
from pytest_exportcheck.run import judging, observer, oracle, stage_maker
from pytest_exportcheck.run.runner import Runner

PARTS = ("calls", "record", "compare")
OWNERS = (judging, observer, oracle, stage_maker)
FUNCTIONS = {
    "observe": "calls",
    "program_of": "record",
    "node_runs": "record",
    "state_of": "record",
    "call_spec_of": "record",
    "align": "compare",
    "run_checks": "compare",
    "ledger_of": "compare",
}


def timed(function: Callable[..., Any], part: str, spent: dict[str, float]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            spent[part] += time.perf_counter() - started

    return run


@contextmanager
def watched(spent: dict[str, float]) -> Iterator[None]:
    before = [(owner, name, getattr(owner, name)) for owner in OWNERS for name in FUNCTIONS if hasattr(owner, name)]
    for owner, name, function in before:
        setattr(owner, name, timed(function, FUNCTIONS[name], spent))
    try:
        yield
    finally:
        for owner, name, function in before:
            setattr(owner, name, function)


def shares(case: Case) -> dict[str, dict[str, float]]:
    """Mode -> part -> seconds as a share of the nonstrict export."""
    engine = as_engine(TorchExport())
    runner = Runner({engine.name: engine})
    modes = [Mode.parse(name) for name in DEFAULT if "interop" not in name]
    runner.select((case, engine.name, mode) for mode in modes)
    spent: dict[str, float] = defaultdict(float)
    per_mode: dict[str, dict[str, float]] = {}
    export = 0.0
    with watched(spent):
        for mode in modes:
            before = dict(spent) if per_mode else {}
            outcome = runner.run(case, engine.name, mode)
            if mode == modes[0]:  # setting the case up ran eager twice: two of the three times that calls were made
                export = outcome.seconds[f"{engine.name}-nonstrict"]
                before = {"calls": spent["calls"] * 2 / 3}
            per_mode[str(mode)] = {part: (spent[part] - before.get(part, 0.0)) / export for part in PARTS}
    return per_mode


def main(names: list[str]) -> None:
    totals = []
    print(f"{'model':20}  {'calls':>8}  {'record':>8}  {'compare':>8}  {'median item':>12}  {'worst item':>11}")
    warm_up = next(iter(CASES.values()))
    shares(warm_up)
    for name in names or CASES:
        per_mode = shares(CASES[name])
        items = [sum(parts.values()) for parts in per_mode.values()]
        columns = "  ".join(f"{median(each[part] for each in per_mode.values()):8.1%}" for part in PARTS)
        print(f"{name:20}  {columns}  {median(items):12.1%}  {max(items):11.1%}")
        totals.append(median(items))
    print(f"median over {len(totals)} models: {median(totals):.1%} of a nonstrict export")


if __name__ == "__main__":
    main(sys.argv[1:])
